#!/usr/bin/env bash
# The engine on a GPU beside PyTorch, with random weights of real shapes: same GPU, one run. Prints the tables, and writes
# docs/benchmarks-gpu.md's figures and docs/img/gpu.svg. Builds nothing itself: where bin/gpu is missing it calls engine-cuda.sh. On a
# machine without a driver it ends with a sentence. A run that is interrupted goes on where it stopped.
#
# What may be set: BENCH_SHAPES (1.1b,8b: some of them), BENCH_QUICK=1 (the tiny shape, few repetitions, nothing in docs/), BENCH_OUT (a
# directory instead of docs/), BENCH_SAMPLES (a directory for samples), BENCH_PYTHON (a Python that has PyTorch with CUDA; python3),
# ASSAY_GPU (the GPU's number, 0).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/gpu-lib.sh

gpu_driver
[ -x "$(gpu_bundle)/assay-bench" ] || [ ! -x scripts/engine-cuda.sh ] || scripts/engine-cuda.sh
gpu_programs
gpu_libraries

cache=${BENCH_SAMPLES:-${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}/bench}
mkdir -p "$cache"
options=(--gpu "$gpu" --root . --cache "$cache")
versions=$(driver_version)
python=${BENCH_PYTHON:-python3}
if version=$("$python" bench/peers/torch_bf16.py --version 2>"$cache/torch.log"); then
	python=$(command -v "$python")
	options+=(--peer "torch=$python" --peer "torch.compile=$python")
	versions+=", $version"
else
	note "PyTorch is left out: $(tail -n 1 "$cache/torch.log" | cut -c 1-200)"
	note "(pip install torch; or name a Python that has it with BENCH_PYTHON)"
fi
if [ -n "${BENCH_QUICK:-}" ]; then
	options+=(--quick)
	out=${BENCH_OUT:-$cache/quick}
else
	out=${BENCH_OUT:-docs}
fi
mkdir -p "$out"
[ -z "${BENCH_SHAPES:-}" ] || options+=(--models "$BENCH_SHAPES")

say "Measuring on GPU $gpu"
"$bundle/assay-bench" run "${options[@]}" --out "$out" --commit "$(bundle_commit)" --versions "$versions"
