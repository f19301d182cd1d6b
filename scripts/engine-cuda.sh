#!/usr/bin/env bash
# Builds the engine for NVIDIA GPUs and links it beside the node: bin/assay-engine-cuda. Building it needs neither a GPU nor
# a driver.
#
# CUDA's compiler is that of CUDA_HOME or PATH if its version can be used; otherwise it comes from PyPI, into the cache
# (1.2 GB, once). All that this script makes is in $ASSAY_CACHE/cuda, separate from what `make build` and `make test` use.
#
# Variables that may be set before: CUDA_HOME, NVCC_CCBIN (the C++ compiler that nvcc calls; g++), CARGO_BUILD_JOBS,
# ENGINE_ONLY=1 (without the directory of tests and benchmark that gpu-bundle.sh makes).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

# Where the node's program is built; the node looks for the engine beside it.
export ASSAY_NODE_TARGET=${ASSAY_NODE_TARGET:-$CARGO_TARGET_DIR}
home=$ASSAY_CACHE/cuda
export CARGO_TARGET_DIR=$home/target
if [ -z "${ASSAY_LOCKED:-}" ]; then CARGO_TARGET_DIR=$ASSAY_NODE_TARGET scripts/setup.sh; fi
lock_target "$@"
start=$SECONDS

# A compiler for all GPUs from sm_80 to sm_120, with everything that candle links against.
wanted='cuda-toolkit[nvcc,cccl,crt,cudart,cublas,curand,nvrtc,nvvm]==13.0.2'
oldest=12.8 # the first that supports sm_120
newest=13.4 # the last that candle's bindings support
venv=$home/venv
log=$home/pip.log

# ── the toolkit ────────────────────────────────────────────────────────────────

release_of() { "$1/bin/nvcc" --version 2>/dev/null | sed -nE 's/.*release ([0-9]+\.[0-9]+).*/\1/p'; }

in_order() { printf '%s\n' "$@" | sort -CV; }

usable() { # usable HOME: whether this toolkit can build the engine
	local release
	release=$(release_of "$1") && [ -n "$release" ] || return 1
	in_order "$oldest" "$release" "$newest" || {
		note "CUDA $release in $1 is not used: the build needs $oldest to $newest"
		return 1
	}
}

of_path() { # prints the toolkit that the nvcc on PATH belongs to
	local nvcc
	nvcc=$(command -v nvcc) && dirname "$(dirname "$(readlink -f "$nvcc")")"
}

of_pypi() { compgen -G "$venv/lib/python3*/site-packages/nvidia/cu13" | head -n 1; }

installed() { [ "$(cat "$venv/wanted" 2>/dev/null)" = "$wanted" ] && [ -n "$(of_pypi)" ]; }

install() {
	rm -rf "$venv"
	python3 -m venv "$venv" &&
		"$venv/bin/python" -m pip install --disable-pip-version-check --only-binary :all: --timeout 60 "$wanted" &&
		printf '%s\n' "$wanted" >"$venv/wanted"
}

toolkit=
for place in ${CUDA_HOME:+"$CUDA_HOME"} "$(of_path || true)" /usr/local/cuda; do
	if [ -n "$place" ] && [ -x "$place/bin/nvcc" ] && usable "$place"; then
		toolkit=$place
		break
	fi
done
if [ -z "$toolkit" ]; then
	if ! installed; then
		have python3 || die "python3 is missing; it fetches CUDA's compiler." "Run make setup, or set CUDA_HOME to a toolkit."
		free=$(df -Pk "$home" | awk 'NR == 2 { print int($4 / 1048576) }')
		[ "$free" -ge 6 ] || die "$free GB are free for $home; compiler and build take about 6." "Free some, or set ASSAY_CACHE."
		say "Fetching CUDA's compiler from PyPI (about 0.7 GB, once)"
		if ! retry "$log" install || ! installed; then
			tail -n 5 "$log" >&2
			die "$wanted could not be installed from PyPI." \
				"Is PyPI or your mirror reachable (pip config list)? The full log is $log." \
				"A toolkit from NVIDIA works too: set CUDA_HOME to it."
		fi
		note "fetched in $(clock $((SECONDS - start)))"
	fi
	toolkit=$(of_pypi)
	# The packages lack the unversioned names that a linker looks for.
	for library in "$toolkit"/lib/lib*.so.*; do ln -sfn "${library##*/}" "${library%%.so.*}.so"; done
	ln -sfn lib "$toolkit/lib64"
fi
have g++ || [ -n "${NVCC_CCBIN:-}" ] || die "g++ is missing; nvcc calls it." "On Debian: apt-get install g++"

# The driver's library comes with the driver. For linking, a stub with the same name and functions is enough.
stubs=$home/stubs
mkdir -p "$stubs"
header=$toolkit/include/cuda.h
[ -r "$header" ] || header=$(compgen -G "$toolkit/targets/*/include/cuda.h" | head -n 1) || die "$toolkit has no cuda.h."
grep -oE '\bcu[A-Z][A-Za-z0-9_]*' "$header" | sort -u | sed 's/.*/void &(void) {}/' >"$stubs/cuda.c"
cc -shared -nostdlib -fno-builtin -Wl,-soname,libcuda.so.1 -o "$stubs/libcuda.so" "$stubs/cuda.c" ||
	die "the stub of the driver's library could not be built; the compiler's errors are above."

# ── the program ──────────────────────────────────────────────────────────────

# candle's own kernels are compiled for one architecture, whose PTX runs on all later ones. Ours are compiled for each:
# ocw-inference/engine/build.rs.
export CUDA_HOME=$toolkit CUDA_PATH=$toolkit NVCC=$toolkit/bin/nvcc CUDA_COMPUTE_CAP=80 PATH="$toolkit/bin:$PATH"
export LIBRARY_PATH=$stubs${LIBRARY_PATH:+:$LIBRARY_PATH}

say "Building the engine for NVIDIA GPUs with CUDA $(release_of "$toolkit") (the first time takes about 20 minutes on two cores)"
cargo build --release --locked -p assay-engine --features cuda --bin assay-engine-cuda ||
	die "the build failed; the compilers' errors are above." "If nvcc refuses the C++ compiler: set NVCC_CCBIN to another, like g++-12."

program=$CARGO_TARGET_DIR/release/assay-engine-cuda
mkdir -p bin "$ASSAY_NODE_TARGET/release"
ln -sfn "$program" bin/assay-engine-cuda
# The node looks beside its own program, which bin/ only points to.
ln -sfn "$program" "$ASSAY_NODE_TARGET/release/assay-engine-cuda"
note "built in $(clock $((SECONDS - start))): bin/assay-engine-cuda"

# Tests and benchmark, for a machine with a GPU.
[ -n "${ENGINE_ONLY:-}" ] || scripts/gpu-bundle.sh

if report=$("$program" probe 2>&1); then
	note "a node started now computes on: $report"
else
	note "no GPU can be used here ($(tail -n 1 <<<"$report")); copy the program to a machine with one"
fi
