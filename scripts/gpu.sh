#!/usr/bin/env bash
# Runs every check that needs an NVIDIA GPU, and prints a table of the results. Builds nothing: `make engine-cuda`, on any
# machine, makes bin/gpu; copy that directory here together with scripts/ and bench/peers/.
#
#   scripts/gpu.sh            all of it
#   scripts/gpu.sh tests      without the benchmark
#
# Exits with 1 if an item fails, or if there is no driver. Variables that may be set before: ASSAY_GPU (the GPU's number, 0),
# ASSAY_GPU_ROWS (rows to compare, a million of each kind), GPU_BUNDLE, GPU_OUT (a directory for logs and figures), and those
# of bench-gpu.sh.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. scripts/lib.sh
. scripts/gpu-lib.sh
gpu_driver
gpu_programs
gpu_libraries
export ASSAY_GPU=$gpu CUDA_DEVICE_ORDER=${CUDA_DEVICE_ORDER:-PCI_BUS_ID}
out=${GPU_OUT:-${OUT:-bin/gpu-results}}
mkdir -p "$out"
out=$(cd "$out" && pwd -P)

items=()
failed=0
# item NAME LOG COMMAND…: runs the command, and keeps a line for the table: what it compared, or the last line of its log.
item() {
	local name=$1 log=$out/$2 status=0 start=$SECONDS words
	shift 2
	say "$name"
	"$@" >"$log" 2>&1 || status=$?
	words=$(result "$log" "$status")
	if [ $status = 0 ]; then
		items+=("pass|$name|$words|$(clock $((SECONDS - start)))")
	else
		failed=1
		items+=("FAIL|$name|$words|$(clock $((SECONDS - start)))")
		tail -n 15 "$log" >&2
	fi
	note "${items[-1]%%|*}: $words"
}

result() { # result LOG STATUS
	local words
	if [ "$2" = 0 ]; then
		words=$(grep -hoE '(compared|agreed) [0-9].*' "$1" | paste -sd ';' | sed 's/;/; /g')
		[ -n "$words" ] || words=$(awk '/^test result:/ { print $4 " tests passed" }' "$1")
	fi
	[ -n "${words:-}" ] || words=$(grep -vE '^\s*$' "$1" | tail -n 1 | cut -c 1-110)
	printf '%s\n' "$words"
}

# tests PROGRAM WANTED FILTER…: runs some of its tests on the GPU. It is a failure if none ran, or if they compared fewer rows
# than wanted.
tests() {
	local program=$bundle/$1 wanted=$2 rows log
	shift 2
	log=$(mktemp)
	CARGO_MANIFEST_DIR=$bundle/ocw-inference/engine "$program" --nocapture --test-threads 1 "$@" 2>&1 | tee "$log"
	[ "${PIPESTATUS[0]}" = 0 ] || return 1
	grep -qE '^test result: ok\. [1-9]' "$log" || { echo "no test ran"; return 1; }
	rows=$(sed -nE 's/^.*compared ([0-9]+) rows.*/\1/p' "$log" | sort -n | head -n 1)
	rm -f "$log"
	[ "${rows:-0}" -ge "$wanted" ] || { echo "only ${rows:-0} rows were compared, not $wanted"; return 1; }
}

network() {
	ASSAY_ENGINES="$bundle/assay-engine:$out/cuda-engine:$bundle/assay-engine:$out/cuda-engine" tests gpu-tests 0 network:: | tee "$out/network"
	[ "${PIPESTATUS[0]}" = 0 ] && grep -q 'programs behind sockets' "$out/network"
}

# The tests start a member of a network without arguments, so a script passes the GPU's number.
printf '#!/bin/sh\nexec "%s/assay-engine-cuda" --device "%s" "$@"\n' "$bundle" "$gpu" >"$out/cuda-engine"
chmod +x "$out/cuda-engine"

item "the GPU opens" probe.log "$bundle/assay-engine-cuda" --device "$gpu" probe
if [ $failed = 0 ]; then
	item "known answer and answers of the demo model" demo.log tests gpu-tests 0 golden::models::the_demo_model
	item "kernels: any shape, batch and page layout" kernels.log tests gpu-tests 0 kernels::
	item "whole models: rows, answers, votes, batches" models.log tests gpu-tests 0 models:: golden::
	item "the engine's own tests: bits, cheats, scheduling" suite.log tests gpu-suite 0
	item "a million rows of products and of models" many.log tests gpu-tests "${ASSAY_GPU_ROWS:-1000000}" many::
	item "mixed network: GPUs and CPUs" network.log network
	if [ "${1:-}" != tests ]; then
		item "benchmark" bench.log env BENCH_OUT="${BENCH_OUT:-$out}" BENCH_SAMPLES="${BENCH_SAMPLES:-$out}" scripts/bench-gpu.sh
		sed -n '/^- GPU:/,$p' "$out/bench.log"
	fi
fi

printf '\n%-5s %-46s %-60s %s\n' "" item result time
for line in "${items[@]}"; do
	IFS='|' read -r status name words took <<<"$line"
	printf '%-5s %-46s %-60s %s\n' "$status" "$name" "$words" "$took"
done
note "logs and figures: $out"
exit $failed
