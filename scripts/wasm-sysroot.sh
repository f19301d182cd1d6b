#!/usr/bin/env bash
# Adds the target wasm32v1-none to Debian's rustc, as `rustup target add` would, from Debian's own source package.
#
#   scripts/wasm-sysroot.sh [BIN]      BIN is the directory of cargo and rustc; /usr/bin by default
#
# Builds core, alloc and compiler_builtins once (half a minute) and puts them into the sysroot. A stamp beside them names
# the rustc they were built for, so that they are built again after an upgrade of the package.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

bin=${1:-/usr/bin}
target=wasm32v1-none
lib=$("$bin/rustc" --print sysroot)/lib/rustlib/$target/lib
stamp=$lib/assay-rustc-version
version=$("$bin/rustc" -vV)

if [ -r "$stamp" ] && [ "$(cat "$stamp")" = "$version" ] && [ -z "${ASSAY_FORCE:-}" ]; then
	note "$target is in the sysroot already, for this rustc (ASSAY_FORCE=1 builds it again)"
	exit 0
fi
compgen -G '/usr/src/rustc-*/library/Cargo.toml' >/dev/null ||
	die "the source of Rust's standard library is missing." "apt-get install rust-web-src, then run this again."
have wasm-ld-22 || die "wasm-ld-22 is missing." "apt-get install lld-22, then run this again."
if ! mkdir -p "$lib" 2>/dev/null || [ ! -w "$lib" ]; then
	die "$lib is not writable." "Run once as root: sudo scripts/wasm-sysroot.sh $bin"
fi

say "Building core and alloc for $target with $("$bin/rustc" --version | cut -d' ' -f1,2) (once, about half a minute)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "wasm-sysroot"
version = "0.0.0"
edition = "2021"

[lib]
crate-type = ["cdylib"]

[profile.release]
panic = "abort"

[workspace]
TOML
cat >"$work/src/lib.rs" <<'RUST'
//! An empty library, built for its dependencies.
#![no_std]
extern crate alloc;
struct Nothing;
unsafe impl core::alloc::GlobalAlloc for Nothing {
	unsafe fn alloc(&self, _: core::alloc::Layout) -> *mut u8 {
		core::ptr::null_mut()
	}
	unsafe fn dealloc(&self, _: *mut u8, _: core::alloc::Layout) {}
}
#[global_allocator]
static NOTHING: Nothing = Nothing;
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
	loop {}
}
RUST

# Thin LTO of the runtime reads the bitcode. RUSTC_BOOTSTRAP is set for this one call only: if it were exported, build
# scripts would take the compiler for a nightly one.
if ! (
	cd "$work"
	PATH="$bin:$PATH" RUSTFLAGS="-C embed-bitcode=yes" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/target" \
		CARGO_TARGET_WASM32V1_NONE_LINKER=wasm-ld-22 \
		"$bin/cargo" build --release --target $target -Z build-std=core,alloc
) >"$work/log" 2>&1; then
	tail -n 30 "$work/log" >&2
	die "core and alloc could not be built for $target; cargo's errors are above."
fi

deps=$work/target/$target/release/deps
for crate in core alloc compiler_builtins; do
	compgen -G "$deps/lib$crate-*.rlib" >/dev/null || die "the build made no lib$crate; is rust-web-src the same release as rustc?"
done
rm -f "$lib"/lib{core,alloc,compiler_builtins}-*.rlib "$stamp"
install -m 644 "$deps"/lib{core,alloc,compiler_builtins}-*.rlib "$lib/"
printf '%s\n' "$version" >"$stamp"

# Cargo would reuse Wasm crates that were built against the old libraries, and rustc would fail with E0463.
rm -rf "${CARGO_TARGET_DIR:?}"/*/wbuild
note "installed in $lib"
