#!/usr/bin/env bash
# Runs the fuzz targets under libFuzzer, one after another:  scripts/fuzz.sh [TARGET…]
#
# Variables that may be set before: FUZZ_RUNS (executions of each target, 1000000), FUZZ_SECONDS (time limit of each; 0 for
# none). What a run finds stays in $ASSAY_CACHE/fuzz: inputs that reach new code in corpus/, inputs that fail in broken/.
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
# A target directory of its own, since all flags differ. No sanitizer: these paths have no unsafe code of ours, and a stable
# compiler has no sanitizers. RUSTC_BOOTSTRAP makes that compiler accept cargo-fuzz's flags.
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
	die "targets failed: ${broken[*]}." "The inputs are in $home/broken; run one again:" \
		"  cargo run -p assay-fuzz-targets -- TARGET FILE"
fi
say "All targets passed"
