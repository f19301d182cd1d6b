#!/usr/bin/env bash
# The engine beside its peers: same weights, same shapes, same threads, one run. Peers come from PyPI, built for this CPU.
# Writes the tables of docs/benchmarks.md and the charts of docs/img, and prints them. Two hours the first time (peers are built,
# models made), one later; Ctrl-C loses nothing: the next call goes on where this one stopped.
#
# What may be set: BENCH_QUICK=1 (a small shape, few repetitions, nothing in docs/), BENCH_MODELS and BENCH_ENGINES
# (0.5b,1.1b,demo, or 1.1b-4bit for one width of weights, and ours,llama.cpp,ik_llama.cpp,OpenVINO,candle: some of them),
# BENCH_THREADS (all cores), BENCH_REPETITIONS (the most of each measure, for a slow machine), BENCH_OUT (a directory instead of
# docs/), BENCH_BUILD_MINUTES (60: the longest a peer may take to build).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
scripts/setup.sh
. scripts/env.sh

home=$ASSAY_CACHE/bench
mkdir -p "$home"
commit=$(commit_of ocw-inference primitives demo-model/assay-demo bench)

# Its own target directory: another workspace, another lock.
export CARGO_TARGET_DIR=${BENCH_TARGET_DIR:-$home/target}
claim_target
say "Building the benchmark (some minutes the first time)"
cargo build --release --locked --quiet --manifest-path bench/Cargo.toml

versions="rustc $(rustc --version | cut -d ' ' -f 2), candle $(awk '/^name = "candle-core"/ { getline; gsub(/"/, ""); print $3 }' bench/Cargo.lock)"
options=()
# peer NAME SCRIPT ARGUMENT…: takes a peer along if it is wanted and can be had.
peer() {
	local name=$1 python version
	shift
	case ",${BENCH_ENGINES:-$name}," in *",$name,"*) ;; *) return 0 ;; esac
	python=$(bench/peers/setup.sh "$name") || return 0
	if ! version=$("$python" "$@" --version 2>"$home/$name.log"); then
		note "$name is left out: it does not start; see $home/$name.log"
		return 0
	fi
	note "$version"
	options+=(--peer "$name=$python")
	versions+=", $version"
}
say "Peers"
peer llama.cpp bench/peers/llamacpp.py
peer ik_llama.cpp bench/peers/llamacpp.py --ik
peer OpenVINO bench/peers/openvino_llama.py

if [ -n "${BENCH_QUICK:-}" ]; then
	options+=(--quick)
	out=${BENCH_OUT:-$home/quick}
else
	out=${BENCH_OUT:-docs}
fi
mkdir -p "$out"
[ -z "${BENCH_MODELS:-}" ] || options+=(--models "$BENCH_MODELS")
[ -z "${BENCH_ENGINES:-}" ] || options+=(--engines "$BENCH_ENGINES")
[ -z "${BENCH_THREADS:-}" ] || options+=(--threads "$BENCH_THREADS")
[ -z "${BENCH_REPETITIONS:-}" ] || options+=(--repetitions "$BENCH_REPETITIONS")

say "Measuring"
"$CARGO_TARGET_DIR/release/assay-bench" run --root "$ASSAY_ROOT" --cache "$home" --out "$out" \
	--commit "$commit" --versions "$versions" "${options[@]}"
