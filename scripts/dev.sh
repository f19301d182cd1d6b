#!/usr/bin/env bash
# Runs a development chain in the foreground: one node with the keys of four providers, and beside it the gateway, which
# serves the page. Ctrl-C ends both and deletes the chain. Arguments go to the node: scripts/dev.sh --rpc-port 9955. The
# page's address is another with ASSAY_PAGE_LISTEN=127.0.0.1:8088.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh
scripts/setup.sh
scripts/build.sh

port=9944
for ((i = 1; i <= $#; i++)); do
	case ${!i} in
	--rpc-port=*) port=${!i#*=} ;;
	--rpc-port)
		next=$((i + 1))
		port=${!next:-$port}
		;;
	esac
done
url=ws://127.0.0.1:$port
listen=${ASSAY_PAGE_LISTEN:-127.0.0.1:8080}
data=$(mktemp -d "${TMPDIR:-/tmp}/assay-dev.XXXXXX")
node='' gateway=''
finish() {
	trap - EXIT INT TERM
	for process in $gateway $node; do kill -INT "$process" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$data"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "A development chain on $url; Ctrl-C ends it"
note "in another terminal: bin/assay ask \"What is a receipt?\""
# Indexing, so that this node can prove receipts that the chain has pruned. The second address is for light clients in
# browsers, which speak WebSocket only.
bin/assay-node --dev --tmp --no-telemetry --enable-offchain-indexing true --listen-addr /ip4/127.0.0.1/tcp/30333 \
	--listen-addr /ip4/127.0.0.1/tcp/30334/ws "$@" &
node=$!
{
	# The gateway begins once the node answers.
	until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
		kill -0 "$node" 2>/dev/null || exit 0
		sleep 0.5
	done
	exec bin/assay serve --url "$url" --suri //Alice --listen "$listen" --data "$data" >"$data/gateway.log" 2>&1
} &
gateway=$!
{
	for _ in $(seq 600); do
		if grep -q "asked at http" "$data/gateway.log" 2>/dev/null; then
			say "The page: http://$listen"
			exit 0
		fi
		if ! kill -0 "$gateway" 2>/dev/null; then
			note "the page is not served: $(tail -n 1 "$data/gateway.log" 2>/dev/null)"
			exit 0
		fi
		sleep 0.5
	done
} &
wait "$node"
