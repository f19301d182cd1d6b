#!/usr/bin/env bash
# Measures the engine on this machine with the demo model: checking the folder, generating, and verifying by prefill.
# Medians of repeated runs of the same program that nodes start. BENCH_RUNS sets how many (7).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
if [ -z "${ASSAY_ENGINE:-}" ]; then
	scripts/setup.sh
	scripts/build.sh
fi
. scripts/env.sh
engine=${ASSAY_ENGINE:-$CARGO_TARGET_DIR/release/assay-engine}
model=demo-model/assay-demo
runs=${BENCH_RUNS:-7}

median() { sort -n | awk '{ v[NR] = $1 } END { if (NR) print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) }'; }

say "$(grep -m 1 'model name' /proc/cpuinfo | sed 's/.*: //'), $(nproc) cores; $runs runs each"
"$engine" check "$model" >/dev/null # once, so that the files are in memory

checks=$(for _ in $(seq "$runs"); do
	begin=$(date +%s%N)
	"$engine" check "$model" >/dev/null
	echo $((($(date +%s%N) - begin) / 1000000))
done | median)

printf '\n%-28s %12s %16s\n' "prompt" "tokens/s" "verify ÷ generate"
for prompt in "What is a receipt?" "Who pays whom?" "How does a committee decide?"; do
	lines=$(for _ in $(seq "$runs"); do "$engine" run "$model" "$prompt" 2>&1 >/dev/null; done)
	speed=$(sed -nE 's/.*; ([0-9.]+) tokens\/s.*/\1/p' <<<"$lines" | median)
	share=$(sed -nE 's/.*prefill in ([0-9.]+) % of.*/\1/p' <<<"$lines" | median)
	printf '%-28s %12s %15s%%\n' "${prompt:0:28}" "${speed:-?}" "${share:-?}"
done
printf '\n%-28s %9s ms\n' "load, check, known answer" "$checks"
