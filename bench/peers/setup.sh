#!/usr/bin/env bash
# Builds llama.cpp for this CPU, once, in a virtual environment below ASSAY_CACHE. Prints the environment's Python.
# Everything else it says goes to stderr. Exits 3, with a sentence, where it cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/lib.sh
. scripts/env.sh

version=0.3.36
home=$ASSAY_CACHE/bench
venv=$home/venv
mkdir -p "$home"

# What this CPU has, one flag each. Never -march=native: that would take AMX along, whose build crashes on some machines.
flags="-DGGML_NATIVE=OFF"
features=" $(grep -m 1 -E '^(flags|Features)' /proc/cpuinfo | cut -d: -f2) "
turn_on() { # turn_on OPTION FEATURE…
	local option=$1 feature
	shift
	for feature in "$@"; do
		case $features in *" $feature "*) ;; *) return 0 ;; esac
	done
	flags+=" -D$option=ON"
}
turn_on GGML_AVX2 avx2
turn_on GGML_FMA fma
turn_on GGML_F16C f16c
turn_on GGML_BMI2 bmi2
turn_on GGML_AVX512 avx512f avx512bw avx512vl avx512dq avx512cd
turn_on GGML_AVX512_VBMI avx512vbmi
turn_on GGML_AVX512_VNNI avx512_vnni
turn_on GGML_AVX512_BF16 avx512_bf16

recipe="llama-cpp-python==$version $flags"
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.recipe" 2>/dev/null)" = "$recipe" ]; then
	echo "$venv/bin/python"
	exit 0
fi

give_up() {
	note "llama.cpp is left out: $1" >&2
	exit 3
}
have python3 || give_up "python3 is missing (apt-get install python3 python3-venv)"
log=$home/llama-build.log
rm -rf "$venv"
python3 -m venv "$venv" >"$log" 2>&1 || give_up "python3 -m venv fails (apt-get install python3-venv); see $log"
note "building llama-cpp-python $version (about ten minutes, once); $log" >&2
if ! CMAKE_ARGS=$flags CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)} \
	"$venv/bin/pip" install --verbose --no-cache-dir "llama-cpp-python==$version" >>"$log" 2>&1; then
	tail -n 5 "$log" >&2
	give_up "PyPI cannot be reached, or the build failed; see $log"
fi
echo "$recipe" >"$venv/.recipe"
echo "$venv/bin/python"
