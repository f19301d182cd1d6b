#!/usr/bin/env bash
# Builds everything, starts a development chain, asks it questions, stops it, and proves from a receipt alone what it answered.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh
if [ -z "${ASSAY_LOCKED:-}" ]; then scripts/setup.sh; fi
lock_target "$@"
scripts/build.sh

question=${1:-What is a receipt?}
work=$(mktemp -d "${TMPDIR:-/tmp}/assay-demo.XXXXXX")
log=$work/node.log
node=
stop_node() {
	[ -n "$node" ] || return 0
	if kill "$node" 2>/dev/null; then
		for _ in $(seq 50); do
			kill -0 "$node" 2>/dev/null || break
			sleep 0.1
		done
		kill -9 "$node" 2>/dev/null || true
	fi
	node=
}
finish() {
	local status=$?
	stop_node
	if [ $status = 0 ]; then
		rm -rf "$work"
	else
		printf '\nThe last lines of the node'\''s log (%s):\n' "$log" >&2
		tail -n 25 "$log" >&2 || true
	fi
}
trap finish EXIT
trap 'exit 130' INT TERM

say "Writing the chain's specification: it names the validators of block 0, and is all that the proof begins at"
bin/assay-node export-chain-spec --chain dev --raw >"$work/chain.json" 2>"$log" || die "the specification could not be written."

say "Starting a development chain: one node, four providers"
start_chain "$log" || die "the node ended early, or did not answer within two minutes."
note "it answers on $url"

say "Asking: $question"
bin/assay ask "$question" --url "$url" --save "$work/receipt.json"

say "A conversation: each answer is a job of its own, with a receipt"
# The demo model has learned single questions, so each begins anew.
printf '%s\n' "What is Assay?" /reset "What is a model id?" | bin/assay chat --url "$url"

say "Stopping the node: the receipt is all that is left"
stop_node

say "Proving the answer from the receipt, with no node and no network"
bin/assay verify "$work/receipt.json" --anchor "$work/chain.json"

say "The same receipt with one digit of the answer's hash changed"
# Any changed hash of the answer must be noticed.
awk '!done && match($0, /"output_hash": *"0x[0-9a-f]/) {
	at = RSTART + RLENGTH - 1
	$0 = substr($0, 1, at - 1) (substr($0, at, 1) == "0" ? "1" : "0") substr($0, at + 1)
	done = 1
} { print } END { exit !done }' "$work/receipt.json" >"$work/forged.json" || die "the receipt holds no hash of an answer to change."
if bin/assay verify "$work/forged.json" --anchor "$work/chain.json"; then
	die "the forged receipt passed." "That is a bug: please report it."
fi
note "noticed"

cat <<TEXT

${_bold}Now you:${_off}
    make dev                                   a chain that keeps running, on ws://127.0.0.1:9944
    bin/assay ask "Who checks an answer?"      ask it (bin/assay --help shows the rest)
    bin/assay chat                             talk with it
    bin/assay serve                            then point an OpenAI client at http://127.0.0.1:8080/v1 (docs/gateway.md)
    bin/assay models                           what may be asked
    https://polkadot.js.org/apps/?rpc=ws%3A%2F%2F127.0.0.1%3A9944
                                               the chain in your browser; README.md shows calls to try
TEXT
