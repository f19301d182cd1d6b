#!/usr/bin/env bash
# The engine beside its peers, llama.cpp and stock candle: same weights, same shapes, same threads, one run.
# Writes the tables of docs/benchmarks.md and the charts of docs/img, and prints them. 40 minutes the first time (peers are built,
# models made), about half of it later; Ctrl-C loses nothing: the next call goes on where this one stopped.
#
# What may be set: BENCH_QUICK=1 (a small shape, few repetitions, nothing in docs/), BENCH_MODELS and BENCH_ENGINES
# (0.5b,1.1b,demo and ours,llama.cpp,candle: some of them), BENCH_THREADS (all cores), BENCH_OUT (a directory instead of docs/).
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
say "Building the benchmark (some minutes the first time)"
cargo build --release --locked --quiet --manifest-path bench/Cargo.toml

versions="rustc $(rustc --version | cut -d ' ' -f 2), candle $(awk '/^name = "candle-core"/ { getline; gsub(/"/, ""); print $3 }' bench/Cargo.lock)"
options=()
case ",${BENCH_ENGINES:-llama.cpp}," in
*,llama.cpp,*)
	if python=$(bench/peers/setup.sh); then
		options+=(--python "$python")
		versions+=", $("$python" bench/peers/llamacpp.py --version)"
	fi
	;;
esac
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

say "Measuring"
"$CARGO_TARGET_DIR/release/assay-bench" run --root "$ASSAY_ROOT" --cache "$home" --out "$out" \
	--commit "$commit" --versions "$versions" "${options[@]}"
