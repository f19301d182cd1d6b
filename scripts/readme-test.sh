#!/usr/bin/env bash
# Tests the documents: runs the README's shell blocks, including `make demo`, against a development chain, types the
# operator's guide on a machine of its own, and follows every relative link of every document. The JavaScript blocks are run
# by e2e/js/documents.test.mjs.
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
		# What could not be checked here is said.
		grep 'NOT ' <<<"$out" || true
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

links_of() { # links_of FILE: whether each relative link leads to a file
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

run_line() { (cd "$work" && timeout 120 bash -c "${1//bin\/assay/$ASSAY_ROOT/bin/assay}"); }

# Not started by check: its subshell would keep the process id and the address to itself.
if start_chain "$work/node.log"; then started=true; else started=false; fi
check "a chain starts" "$started"
export ASSAY_URL=$url
lines=0
while IFS= read -r line; do
	lines=$((lines + 1))
	case $line in
	'' | '#'*) ;;
	'make demo') check "$line" scripts/demo.sh ;;
	'make '*) check "$line is a target" is_target "${line#make }" ;;
	'bin/assay '*) check "$line" run_line "$line" ;;
	*) check "this test knows the line: $line" false ;;
	esac
done < <(awk '/^```sh$/ { inside = 1; next } /^```/ { inside = 0 } inside' README.md)
check "the README has shell blocks" test "$lines" -gt 3

# ── the operator's guide ─────────────────────────────────────────────────────

check "the operator's guide" scripts/operator-test.sh

printf 'checks: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
