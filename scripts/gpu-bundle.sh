#!/usr/bin/env bash
# Builds what a machine with a card needs besides the engine, and puts it all into one folder that can be carried there: bin/gpu. Called
# by engine-cuda.sh, in its environment (compiler, stand-in for the driver, target directory); no card is needed.
#
# What may be set before: GPU_BUNDLE (another folder), GPU_BUNDLE_LIBS=1 (CUDA's libraries too, 1 GB).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/gpu-lib.sh
[ -n "${CUDA_HOME:-}" ] && [ -n "${NVCC:-}" ] || die "scripts/engine-cuda.sh calls this one." "make engine-cuda"
bundle=$(gpu_bundle)

say "Building the tests and the benchmark for NVIDIA cards"
built=$(cargo test --release --locked -p assay-engine --features cuda --test gpu --test gpu-suite --no-run --message-format=json) ||
	die "the tests were not built; the compilers' words stand above."
# Files as cargo names them have a hash.
executable() { sed -nE "/\"name\":\"$1\"/s/.*\"executable\":\"([^\"]+)\".*/\\1/p" <<<"$built" | tail -n 1; }
# The processor's engine, to compare with. Of the same build, so it is of the same commit.
cargo build --release --locked -p assay-engine --bin assay-engine --features cuda || die "the engine was not built."
# With the house's profile: what it shares with the engine, candle's kernels above all, is not compiled again.
export CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export CARGO_PROFILE_RELEASE_BUILD_OVERRIDE_OPT_LEVEL=3 CARGO_PROFILE_RELEASE_BUILD_OVERRIDE_CODEGEN_UNITS=16
cargo build --release --locked --manifest-path bench/Cargo.toml --features cuda || die "the benchmark was not built."

rm -rf "${bundle:?}"
mkdir -p "$bundle/ocw-inference/engine/tests" "$bundle/demo-model"
for program in assay-engine assay-engine-cuda assay-bench; do cp "$CARGO_TARGET_DIR/release/$program" "$bundle/"; done
cp "$(executable gpu)" "$bundle/gpu-tests"
cp "$(executable gpu-suite)" "$bundle/gpu-suite"
strip "$bundle"/assay-* "$bundle"/gpu-* 2>/dev/null || true
# Beside each other as in the repository: that is how the tests look for them.
cp -r ocw-inference/engine/tests/golden "$bundle/ocw-inference/engine/tests/"
cp -r demo-model/assay-demo "$bundle/demo-model/"
"$CUDA_HOME/bin/nvcc" --version | sed -nE 's/.*release ([0-9.]+).*/CUDA \1/p' >"$bundle/cuda"
measured=(ocw-inference primitives bench)
commit=$(git log -1 --format=%h -- "${measured[@]}" 2>/dev/null || echo "no commit")
git diff --quiet HEAD -- "${measured[@]}" 2>/dev/null || commit+=" with changes"
printf '%s\n' "$commit" >"$bundle/commit"
if [ -n "${GPU_BUNDLE_LIBS:-}" ]; then
	mkdir "$bundle/lib"
	ldd "$bundle/assay-engine-cuda" | awk '$3 ~ /lib(cublas|cublasLt|curand|cudart|nvrtc)[.-]/ { print $3 }' |
		xargs -r cp -Lt "$bundle/lib"
fi
note "$bundle, $(du -sh "$bundle" | cut -f 1): carry it with scripts/ and bench/peers/ to a machine with a card, and run scripts/gpu.sh there"
