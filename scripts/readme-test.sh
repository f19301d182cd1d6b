#!/usr/bin/env bash
# Tests the documents: runs their shell blocks, including `make demo`, against a development chain, types the operator's guide
# on a machine of its own, and follows every relative link. A block that is not run needs a reason beside it. The JavaScript
# blocks are run by e2e/js/documents.test.mjs.
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
	for process in $node ${gateway:-}; do kill "$process" 2>/dev/null || true; done
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

# ── every block is run, or a comment gives the reason why not ─────────────────

# Whose `sh` blocks are typed below. The `js` blocks of all documents are run by e2e/js/documents.test.mjs.
typed=(README.md docs/dapp.md docs/demo-model.md docs/gateway.md docs/operator.md)

fences_of() { # fences_of FILE: whether each block is known to be code that runs, or text
	local file=$1 bad=0 language
	while read -r language; do
		case $language in
		js | text) ;;
		python) # typed below
			[ "$file" = docs/gateway.md ] && continue
			echo "$file: no test runs its python blocks: add it to scripts/readme-test.sh"
			bad=1
			;;
		sh)
			if [ -z "$(blocks_of "$file" sh run)" ] || [[ " ${typed[*]} " == *" $file "* ]]; then continue; fi
			echo "$file: no test types its sh blocks: add it to scripts/readme-test.sh, or <!-- not run: REASON --> to the block"
			bad=1
			;;
		*)
			echo "$file: a block of language '$language': sh and js are run, text is not"
			bad=1
			;;
		esac
	done < <(awk '/^```/ { inside = !inside; if (inside) print substr($0, 4) }' "$file")
	return $bad
}
while read -r file; do check "blocks of $file" fences_of "$file"; done < <(git ls-files '*.md' ':!docs/spec' ':!docs/adr' ':!web')

is_target() { # is_target TARGET…
	local target
	for target; do grep -qE "^$target:" Makefile || return 1; done
}

# A command that is not run is at least one that exists: its program, target or file, and its flags.
exists() { # exists LINE
	local line=${1%% #*}
	# shellcheck disable=SC2086 # words
	case $line in
	*' make '* | 'make '*) is_target ${line#*make } ;;
	'scripts/'* | '. scripts/'*) [ -f "$(grep -oE 'scripts/[a-z.-]+' <<<"$line" | head -n 1)" ] ;;
	*'assay-engine-cuda '*) grep -q 'assay-engine-cuda' scripts/engine-cuda.sh ;;
	'assay '* | 'assay-node '*) PATH=$ASSAY_ROOT/bin:$PATH bash -c "$line --help" ;;
	*'cargo '* | *'npx '*) ;;
	'openssl '*) have openssl ;;
	'systemctl '*' assay-node' | 'journalctl --unit assay-node '*) [ -f scripts/assay-node.service ] ;;
	*)
		echo "this test does not know how to check the command"
		return 1
		;;
	esac
}
while read -r file; do
	while read -r line; do [ -z "$line" ] || check "$file: exists: $line" exists "$line"; done < <(
		blocks_of "$file" sh exempt | sed -e ':join' -e '/\\$/ { N; s/ *\\\n */ /; b join' -e '}'
	)
done < <(git ls-files '*.md')

# ── shell blocks ─────────────────────────────────────────────────────────────

run_line() { (cd "$work" && timeout 120 bash -c "${1//bin\/assay/$ASSAY_ROOT/bin/assay}"); }

# Packages are installed where nothing is, as by somebody who begins.
install_line() { # install_line COMMAND
	local page
	page=$(mktemp -d "$work/page.XXXXXX")
	if npm view ws version >/dev/null 2>&1; then
		(cd "$page" && timeout 300 bash -c "$1 --no-audit --no-fund")
	else
		echo "NOT RUN: the registry of npm cannot be reached"
	fi
}

# Not started by check: its subshell would keep the process id and the address to itself.
if start_chain "$work/node.log"; then started=true; else started=false; fi
check "a chain starts" "$started"
export ASSAY_URL=$url
for file in README.md docs/dapp.md; do
	lines=0
	while IFS= read -r line; do
		lines=$((lines + 1))
		case $line in
		'' | '#'*) ;;
		'make demo') check "$line" scripts/demo.sh ;;
		'make '*) check "$line is a target" is_target "${line#make }" ;;
		'bin/assay '*) check "$line" run_line "$line" ;;
		'npm install '*) check "$line" install_line "$line" ;;
		*) check "this test knows the line: $line" false ;;
		esac
	done < <(blocks_of "$file" sh run)
	check "$file has shell blocks" test "$lines" -gt 0
done
check "the blocks of docs/demo-model.md" bash -euo pipefail -c "$(blocks_of docs/demo-model.md sh run)"

# ── the gateway ──────────────────────────────────────────────────────────────

# Prints a Python with the clients that the gateway's tests use, or nothing where their registry cannot be reached.
python_with_clients() {
	local clients=$ASSAY_CACHE/python-clients wanted=gateway/tests/clients/requirements.txt
	if ! cmp -s "$wanted" "$clients/installed"; then
		python3 -m venv "$clients" >&2 && "$clients/bin/pip" install --quiet --disable-pip-version-check \
			--requirement "$wanted" >&2 && cp "$wanted" "$clients/installed" || return 0
	fi
	printf '%s\n' "$clients/bin/python"
}

# Starts a gateway before the chain above, and sets `gateway` to its process id and `base` to its address.
start_gateway() {
	bin/assay --json serve --listen 127.0.0.1:0 --suri //Bob --data "$work/gateway" 2>"$work/gateway.log" >/dev/null </dev/null &
	gateway=$!
	for _ in $(seq 1200); do
		kill -0 "$gateway" 2>/dev/null || return 1
		base=$(sed -nE 's/.*"listen":"([^"]+)".*/\1/p' "$work/gateway.log" | head -n 1)
		[ -z "$base" ] || return 0
		sleep 0.1
	done
	return 1
}

# Prints the blocks of the document, before the running gateway.
gateway_blocks() { blocks_of docs/gateway.md "$1" run | sed "s/127\.0\.0\.1:8080/$base/g"; }

gateway=
base=
if start_gateway; then started=true; else started=false; fi
check "a gateway starts" "$started"
check "docs/gateway.md: its shell blocks" timeout 120 bash -euo pipefail -c "$(gateway_blocks sh)"
python=$(python_with_clients)
python_blocks() {
	if [ -n "$python" ]; then
		gateway_blocks python | timeout 300 "$python" -
	else
		echo "NOT RUN: the clients cannot be installed from PyPI here"
	fi
}
check "docs/gateway.md: its Python blocks" python_blocks
[ -z "$gateway" ] || kill "$gateway" 2>/dev/null || true

# ── the operator's guide ─────────────────────────────────────────────────────

check "the operator's guide" scripts/operator-test.sh

printf 'checks: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
