#!/usr/bin/env bash
# Builds the engine for NVIDIA cards and links it beside the node: bin/assay-engine-cuda. No card and no driver are needed to build it.
#
# CUDA's compiler is the one of CUDA_HOME or on PATH if it's of a version that can be used; else it comes from PyPI, into the cache
# (1.2 GB, once). Everything this makes lies in $ASSAY_CACHE/cuda, apart from what `make build` and `make test` use.
#
# What may be set before: CUDA_HOME, NVCC_CCBIN (the C++ compiler that nvcc calls, g++), CARGO_BUILD_JOBS, ENGINE_ONLY=1 (without the
# folder of tests and benchmark that gpu-bundle.sh makes).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

# Where the node's program is built, and with it this one is looked for.
export ASSAY_NODE_TARGET=${ASSAY_NODE_TARGET:-$CARGO_TARGET_DIR}
home=$ASSAY_CACHE/cuda
export CARGO_TARGET_DIR=$home/target
if [ -z "${ASSAY_LOCKED:-}" ]; then CARGO_TARGET_DIR=$ASSAY_NODE_TARGET scripts/setup.sh; fi
lock_target "$@"
start=$SECONDS

# The compiler of all cards from sm_80 to sm_120, with everything that candle links against.
wanted='cuda-toolkit[nvcc,cccl,crt,cudart,cublas,curand,nvrtc,nvvm]==13.0.2'
oldest=12.8  # the first that knows sm_120
newest=13.4  # the last that candle's bindings know
venv=$home/venv
log=$home/pip.log

# ── a toolkit ────────────────────────────────────────────────────────────────

release_of() { "$1/bin/nvcc" --version 2>/dev/null | sed -nE 's/.*release ([0-9]+\.[0-9]+).*/\1/p'; }

in_order() { printf '%s\n' "$@" | sort -CV; }

usable() { # usable HOME: a toolkit that can build this
	local release
	release=$(release_of "$1") && [ -n "$release" ] || return 1
	in_order "$oldest" "$release" "$newest" || {
		note "the CUDA $release of $1 is not used: it takes $oldest to $newest"
		return 1
	}
}

of_path() { # the toolkit that the nvcc on PATH belongs to
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
		for try in 1 2 3; do
			if install >"$log" 2>&1; then break; fi
			[ $try = 3 ] || sleep $((5 * try))
		done
		if ! installed; then
			tail -n 5 "$log" >&2
			die "PyPI did not give $wanted." "Is PyPI or your mirror reachable (pip config list)? The whole story is in $log." \
				"A toolkit from NVIDIA does as well: set CUDA_HOME to it."
		fi
		note "fetched in $(clock $((SECONDS - start)))"
	fi
	toolkit=$(of_pypi)
	# The packages have the libraries and not the names that a linker looks for.
	for library in "$toolkit"/lib/lib*.so.*; do ln -sfn "${library##*/}" "${library%%.so.*}.so"; done
	ln -sfn lib "$toolkit/lib64"
fi
have g++ || [ -n "${NVCC_CCBIN:-}" ] || die "g++ is missing; nvcc calls it." "On Debian: apt-get install g++"

# The driver's library comes with the driver. To link, a library of its name and with its functions is enough; to run, it isn't.
stubs=$home/stubs
mkdir -p "$stubs"
header=$toolkit/include/cuda.h
[ -r "$header" ] || header=$(compgen -G "$toolkit/targets/*/include/cuda.h" | head -n 1) || die "$toolkit has no cuda.h."
grep -oE '\bcu[A-Z][A-Za-z0-9_]*' "$header" | sort -u | sed 's/.*/void &(void) {}/' >"$stubs/cuda.c"
cc -shared -nostdlib -fno-builtin -Wl,-soname,libcuda.so.1 -o "$stubs/libcuda.so" "$stubs/cuda.c" ||
	die "no library could be made in the driver's place; the compiler's words stand above."

# ── the program ──────────────────────────────────────────────────────────────

# candle's own kernels are for one card; that one's text runs on all later ones. Ours are built for each: ocw-inference/engine/build.rs.
export CUDA_HOME=$toolkit CUDA_PATH=$toolkit NVCC=$toolkit/bin/nvcc CUDA_COMPUTE_CAP=80 PATH="$toolkit/bin:$PATH"
export LIBRARY_PATH=$stubs${LIBRARY_PATH:+:$LIBRARY_PATH}

say "Building the engine for NVIDIA cards with CUDA $(release_of "$toolkit") (the first time takes about 20 minutes on two cores)"
cargo build --release --locked -p assay-engine --features cuda --bin assay-engine-cuda ||
	die "the build failed; the compilers' words stand above." "If nvcc refuses the C++ compiler: set NVCC_CCBIN to another, like g++-12."

program=$CARGO_TARGET_DIR/release/assay-engine-cuda
mkdir -p bin "$ASSAY_NODE_TARGET/release"
ln -sfn "$program" bin/assay-engine-cuda
# The node looks beside its own program, which bin/ only points to.
ln -sfn "$program" "$ASSAY_NODE_TARGET/release/assay-engine-cuda"
note "built in $(clock $((SECONDS - start))): bin/assay-engine-cuda"

# Tests and benchmark, for a machine with a card.
[ -n "${ENGINE_ONLY:-}" ] || scripts/gpu-bundle.sh

said=$("$program" probe 2>&1) && status=0 || status=$?
case $status in
0) note "a node started now computes on: $said" ;;
*) note "no card can be used here ($(tail -n 1 <<<"$said")); the program is for computers with one" ;;
esac
