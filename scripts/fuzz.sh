#!/usr/bin/env bash
# Runs the fuzz targets under libFuzzer, one after another:  scripts/fuzz.sh [TARGET…]
#
# What may be set before: FUZZ_RUNS (executions of each target, 1000000), FUZZ_SECONDS (most seconds of each, 0: no limit).
# What a run finds stays in $ASSAY_CACHE/fuzz: inputs that reach new code in corpus/, inputs that break a promise in broken/.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh
if [ -z "${ASSAY_LOCKED:-}" ]; then scripts/setup.sh; fi
. scripts/env.sh

runs=${FUZZ_RUNS:-1000000}
seconds=${FUZZ_SECONDS:-0}
home=$ASSAY_CACHE/fuzz
triple=$(rustc -vV | sed -n 's/^host: //p')

tool=$(cargo_tool cargo-fuzz 0.13.2)

say "Building the targets with coverage counters"
# Its own target directory: everything is built with other flags. No sanitizer: there is no unsafe code of ours on these
# paths, and a stable compiler has none. RUSTC_BOOTSTRAP lets that compiler take cargo-fuzz's flags.
CARGO_TARGET_DIR=$home/target RUSTC_BOOTSTRAP=1 "$tool" build --fuzz-dir fuzz --sanitizer none --release --debug-assertions

targets=("$@")
if [ $# = 0 ]; then
	targets=()
	for program in fuzz/programs/*.rs; do targets+=("$(basename "$program" .rs)"); done
fi
broken=()
for target in "${targets[@]}"; do
	[ -d "fuzz/seeds/$target" ] || die "there is no target '$target'." "The targets are the names in fuzz/programs."
	mkdir -p "$home/corpus/$target" "$home/broken"
	say "$target: $runs executions"
	"$home/target/$triple/release/$target" "$home/corpus/$target" "fuzz/seeds/$target" \
		-runs="$runs" -max_total_time="$seconds" -max_len=32768 -timeout=5 -rss_limit_mb=1024 -malloc_limit_mb=256 \
		-print_final_stats=1 -artifact_prefix="$home/broken/$target-" || broken+=("$target")
done
if [ ${#broken[@]} -gt 0 ]; then
	die "a promise was broken by: ${broken[*]}." "The inputs are in $home/broken; replay one:" \
		"  cargo run -p assay-fuzz-targets -- TARGET FILE"
fi
say "All promises held"
