#!/usr/bin/env bash
# Runs a development chain in the foreground: one node with the keys of four providers, and beside it the gateway, which
# serves the page. Ctrl-C ends both and deletes the chain. Arguments go to the node, and win over what this script sets:
# scripts/dev.sh --port 30433 --rpc-port 9955. The page's address is another with ASSAY_PAGE_LISTEN=127.0.0.1:8088.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

# What is passed wins over what is set here. `--port` moves the addresses of both kinds; the node itself refuses it beside
# addresses.
port=30333 rpc_port=9944
options=() names=' '
given() { [[ $names == *" $1 "* ]]; }
while [ $# -gt 0 ]; do
	case $1 in
	--port | --rpc-port)
		[ $# -ge 2 ] || die "$1 needs a number." "scripts/dev.sh $1 9955"
		set -- "$1=$2" "${@:3}"
		;;
	esac
	case $1 in
	--port=*) port=${1#*=} ;;
	--rpc-port=*) rpc_port=${1#*=} options+=("$1") ;;
	*) options+=("$1") ;;
	esac
	names+="${1%%=*} "
	shift
done
for number in "$port" "$rpc_port"; do
	if ! [[ $number =~ ^[1-9][0-9]{0,4}$ ]] || [ "$number" -ge 65535 ]; then
		die "'$number' is no port for this." "Pass one from 1 to 65534: the page has to know it, and --port takes the next one too."
	fi
done
if given --listen-addr; then
	if given --port; then options+=("--port=$port"); fi
else
	# The second address is for light clients in browsers, which speak WebSocket only.
	options+=(--listen-addr "/ip4/127.0.0.1/tcp/$port" --listen-addr "/ip4/127.0.0.1/tcp/$((port + 1))/ws")
fi
given --dev || options+=(--dev)
given --tmp || given --base-path || given -d || options+=(--tmp)
given --no-telemetry || given --telemetry-url || options+=(--no-telemetry)
# Indexing, so that this node can prove receipts that the chain has pruned.
given --enable-offchain-indexing || options+=(--enable-offchain-indexing true)

scripts/setup.sh
scripts/build.sh

url=ws://127.0.0.1:$rpc_port
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
bin/assay-node "${options[@]}" &
node=$!
{
	# The gateway begins once the node answers.
	until (exec 3<>"/dev/tcp/127.0.0.1/$rpc_port") 2>/dev/null; do
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
