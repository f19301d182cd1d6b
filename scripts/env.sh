# shellcheck shell=bash
# Sets the build's environment: one toolchain and one target directory for all scripts. Sourced, never run.
#
#   . scripts/env.sh
#
# Variables that may be set before: ASSAY_CACHE (the directory for the toolchain's choice, builds and tools),
# CARGO_TARGET_DIR.

ASSAY_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
ASSAY_CACHE=${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}
ASSAY_STAMP=$ASSAY_CACHE/toolchain
export ASSAY_ROOT ASSAY_CACHE

# A shell profile must not change what a build here means.
unset MAKEFLAGS MFLAGS # the jobserver of an outer `make -j` is not for cargo
unset WASM_BUILD_STD WASM_BUILD_TOOLCHAIN RUSTC_BOOTSTRAP RUSTUP_TOOLCHAIN RUSTC

# scripts/setup.sh records which toolchain it chose, as `WAY BIN`. Its programs come first on PATH, because
# substrate-wasm-builder takes cargo and rustc from there and must not mix two releases.
ASSAY_WAY=
ASSAY_BIN_DIR=
if [ -r "$ASSAY_STAMP" ]; then
	read -r ASSAY_WAY ASSAY_BIN_DIR <"$ASSAY_STAMP" || true
fi
if [ -n "$ASSAY_BIN_DIR" ]; then
	export PATH="$ASSAY_BIN_DIR:$PATH"
fi
if [ "$ASSAY_WAY" = debian ]; then
	# Debian's rustc has no rust-lld of its own.
	export CARGO_TARGET_WASM32V1_NONE_LINKER=wasm-ld-22
else
	unset CARGO_TARGET_WASM32V1_NONE_LINKER
fi

# Kept outside the clone, so that a second clone starts from built dependencies.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$ASSAY_CACHE/target}
export WASM_BUILD_WORKSPACE_HINT=$ASSAY_ROOT
export OPENSSL_NO_VENDOR=1 CARGO_INCREMENTAL=0
# Shared by all nodes that are started from here: each would compile its runtime again otherwise.
export ASSAY_RUNTIME_CACHE=${ASSAY_RUNTIME_CACHE:-$ASSAY_CACHE/runtime-cache}
