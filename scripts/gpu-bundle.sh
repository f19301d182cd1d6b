#!/usr/bin/env bash
# Builds what a machine with a GPU needs besides the engine, and puts it all into one directory that can be copied there,
# bin/gpu. Called by engine-cuda.sh, in its environment (compiler, stub of the driver, target directory). Needs no GPU.
#
# Variables that may be set before: GPU_BUNDLE (another directory), GPU_BUNDLE_LIBS=1 (CUDA's libraries too, 1 GB).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/gpu-lib.sh
if [ -z "${CUDA_HOME:-}" ] || [ -z "${NVCC:-}" ]; then
	die "this script is called by scripts/engine-cuda.sh." "Run: make engine-cuda"
fi
bundle=$(gpu_bundle)

say "Building the tests and the benchmark for NVIDIA GPUs"
built=$(cargo test --release --locked -p assay-engine --features cuda --test gpu --test gpu-suite --no-run --message-format=json) ||
	die "the tests were not built; the compilers' errors are above."
# Cargo puts a hash into the names of test programs.
executable() { sed -nE "/\"name\":\"$1\"/s/.*\"executable\":\"([^\"]+)\".*/\\1/p" <<<"$built" | tail -n 1; }
# The CPU's engine, to compare with; built here, so that it is of the same commit.
cargo build --release --locked -p assay-engine --bin assay-engine --features cuda || die "the engine was not built."
# With the workspace's profile, so that what it shares with the engine, mainly candle's kernels, is not compiled again.
export CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export CARGO_PROFILE_RELEASE_BUILD_OVERRIDE_OPT_LEVEL=3 CARGO_PROFILE_RELEASE_BUILD_OVERRIDE_CODEGEN_UNITS=16
cargo build --release --locked --manifest-path bench/Cargo.toml --features cuda || die "the benchmark was not built."

rm -rf "${bundle:?}"
mkdir -p "$bundle/ocw-inference/engine/tests" "$bundle/demo-model"
for program in assay-engine assay-engine-cuda assay-bench; do cp "$CARGO_TARGET_DIR/release/$program" "$bundle/"; done
cp "$(executable gpu)" "$bundle/gpu-tests"
cp "$(executable gpu-suite)" "$bundle/gpu-suite"
strip "$bundle"/assay-* "$bundle"/gpu-* 2>/dev/null || true
# The tests look for these files where they are in the repository.
cp -r ocw-inference/engine/tests/golden "$bundle/ocw-inference/engine/tests/"
cp -r demo-model/assay-demo "$bundle/demo-model/"
"$CUDA_HOME/bin/nvcc" --version | sed -nE 's/.*release ([0-9.]+).*/CUDA \1/p' >"$bundle/cuda"
commit_of ocw-inference primitives bench >"$bundle/commit"
if [ -n "${GPU_BUNDLE_LIBS:-}" ]; then
	mkdir "$bundle/lib"
	ldd "$bundle/assay-engine-cuda" | awk '$3 ~ /lib(cublas|cublasLt|curand|cudart|nvrtc)[.-]/ { print $3 }' |
		xargs -r cp -Lt "$bundle/lib"
fi
note "$bundle, $(du -sh "$bundle" | cut -f 1): copy it with scripts/ and bench/peers/ to a machine with a GPU, and run scripts/gpu.sh there"
