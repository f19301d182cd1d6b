#!/usr/bin/env bash
# Does what the README says: runs its shell blocks, `make demo` among them, against a development chain, and follows every link of every
# document. Its JavaScript blocks are run by e2e/js/documents.test.mjs.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

passed=0
failed=0
check() { # check NAME COMMAND…
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		passed=$((passed + 1))
		note "ok   $name"
	else
		failed=$((failed + 1))
		printf '    FAIL %s\n%s\n' "$name" "$out"
	fi
}

work=$(mktemp -d "${TMPDIR:-/tmp}/assay-readme.XXXXXX")
node=
finish() {
	if [ -n "$node" ]; then kill "$node" 2>/dev/null || true; fi
	if [ "$failed" != 0 ] && [ -f "$work/node.log" ]; then tail -n 20 "$work/node.log"; fi
	rm -rf "$work"
}
trap finish EXIT

# ── links ────────────────────────────────────────────────────────────────────

links_of() { # links_of FILE: each relative link leads to a file
	local file=$1 dir target bad=0
	dir=$(dirname "$file")
	while read -r target; do
		target=${target%%#*}
		[ -z "$target" ] && continue
		if [ ! -e "$dir/$target" ]; then
			echo "$file: no such file: $target"
			bad=1
		fi
	done < <(grep -oE '\]\([^) ]+\)' "$file" | sed -E 's/^\]\(//; s/\)$//' | grep -vE '^(https?|mailto):' || true)
	return $bad
}
while read -r file; do check "links of $file" links_of "$file"; done < <(git ls-files '*.md')

# ── shell blocks ─────────────────────────────────────────────────────────────

is_target() { grep -qE "^$1:" Makefile; }

start_chain() {
	bin/assay-node --dev --tmp --rpc-port 0 --listen-addr /ip4/127.0.0.1/tcp/0 --no-prometheus --no-telemetry --no-mdns \
		>"$work/node.log" 2>&1 </dev/null &
	node=$!
	for _ in $(seq 300); do
		port=$(sed -nE 's/.*Running JSON-RPC server: addr=127\.0\.0\.1:([0-9]+).*/\1/p' "$work/node.log" | head -n 1)
		if [ -n "$port" ]; then
			export ASSAY_URL=ws://127.0.0.1:$port
			return 0
		fi
		sleep 0.1
	done
	return 1
}

run_line() { (cd "$work" && timeout 120 bash -c "${1//bin\/assay/$ASSAY_ROOT/bin/assay}"); }

# Not inside check, whose subshell would keep the address to itself.
if start_chain; then check "a chain starts" true; else check "a chain starts" false; fi
lines=0
while IFS= read -r line; do
	lines=$((lines + 1))
	case $line in
	'' | '#'*) ;;
	'make demo') check "$line" scripts/demo.sh ;;
	'make '*) check "$line is a target" is_target "${line#make }" ;;
	'bin/assay '*) check "$line" run_line "$line" ;;
	*) check "a line this test knows: $line" false ;;
	esac
done < <(awk '/^```sh$/ { inside = 1; next } /^```/ { inside = 0 } inside' README.md)
check "the README has shell blocks" test "$lines" -gt 3

printf 'checks: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
