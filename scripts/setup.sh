#!/usr/bin/env bash
# Installs what a machine needs to build and test Assay. May be run any number of times; does only what is missing.
#
# There are two ways to get a Rust toolchain that can build the Wasm runtime:
#   rustup   a toolchain of rustup, with its target wasm32v1-none;
#   debian   Debian's own rustc-web (no rustup, no network but the package mirrors), with the target built once
#            from Debian's source package by scripts/wasm-sysroot.sh.
# A toolchain that is complete on this machine is used; ASSAY_TOOLCHAIN=rustup|debian chooses otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

RUST_MIN=95       # 1.95: see rust-version in Cargo.toml
RUSTUP_PIN=1.96.0 # installed where rustup has nothing new enough
TARGET=wasm32v1-none

# ── system packages ──────────────────────────────────────────────────────────

missing=()
need() { # need COMMAND PACKAGE…
	have "$1" || missing+=("${@:2}")
}

# Installs a browser for the page's tests, where that is possible. Nothing else needs it, so nothing ends without it.
browser() {
	if [ -n "${CHROMIUM:-}" ] || have chromium || have chromium-browser || have google-chrome; then return; fi
	if ! (apt_install chromium) 2>"$ASSAY_CACHE/chromium.log"; then
		note "Chromium is missing, and the page's tests will NOT run: apt-get install chromium"
	fi
}

node_major() { node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0; }

packages() {
	missing=()
	need protoc protobuf-compiler
	need clang clang
	need c++ g++
	need cmake cmake
	need pkg-config pkg-config
	if ! have pkg-config || ! pkg-config --exists openssl 2>/dev/null; then missing+=(libssl-dev); fi
	need flock util-linux
	need git git
	need ip iproute2 # the network of the operator's guide's test
	need curl curl   # what that guide reads metrics with
	python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
	if [ "$(node_major)" -lt 18 ]; then missing+=(nodejs npm); elif ! have npm; then missing+=(npm); fi
}

apt_install() {
	have apt-get || die "missing on this machine: $*" "Install them with your system's package manager (the names are Debian's), then run make setup again."
	if [ "$(id -u)" != 0 ]; then
		die "missing on this machine: $*" "Install them, then run make setup again:" "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
	fi
	say "Installing Debian packages: $*"
	local log=$ASSAY_CACHE/apt.log
	if ! {
		apt-get -o DPkg::Lock::Timeout=300 update &&
			DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
	} >"$log" 2>&1; then
		tail -n 15 "$log" >&2
		die "apt-get could not install: $*" "The full log is $log."
	fi
}

# ── toolchain ────────────────────────────────────────────────────────────────

# Whether this rustc is new enough.
new_enough() {
	local version
	version=$("$1" --version 2>/dev/null | sed -nE 's/^rustc 1\.([0-9]+).*/\1/p')
	[ -n "$version" ] && [ "$version" -ge "$RUST_MIN" ]
}

# Whether the programs in this directory can build and link a runtime: tried with a crate of three lines.
can_wasm() { # can_wasm BIN [LINKER]
	local dir=$1 linker=${2:-} probe
	[ -x "$dir/cargo" ] && [ -x "$dir/rustc" ] || return 1
	[ -d "$("$dir/rustc" --print sysroot)/lib/rustlib/$TARGET/lib" ] || return 1
	[ -z "$linker" ] || have "$linker" || return 1
	probe=$(mktemp -d)
	printf '%s\n' '#![no_std]' 'extern crate alloc;' '#[panic_handler] fn p(_: &core::panic::PanicInfo) -> ! { loop {} }' \
		>"$probe/probe.rs"
	local ok=0
	"$dir/rustc" --crate-type rlib --edition 2021 -O -C panic=abort -C embed-bitcode=yes --target "$TARGET" \
		-o "$probe/libprobe.rlib" "$probe/probe.rs" >/dev/null 2>&1 || ok=1
	printf '%s\n' '#![no_std]' '#[panic_handler] fn p(_: &core::panic::PanicInfo) -> ! { loop {} }' \
		'#[no_mangle] pub extern "C" fn f(x: u64) -> u32 { x.count_ones() }' >"$probe/linked.rs"
	"$dir/rustc" --crate-type cdylib --edition 2021 -O -C panic=abort -C lto=thin ${linker:+-C linker="$linker"} \
		--target "$TARGET" -o "$probe/linked.wasm" "$probe/linked.rs" >/dev/null 2>&1 || ok=1
	rm -rf "$probe"
	return $ok
}

debian_ready() {
	[ -x /usr/bin/cargo ] && new_enough /usr/bin/rustc && can_wasm /usr/bin wasm-ld-22
}

debian_install() {
	local wanted=()
	if ! [ -x /usr/bin/cargo ] || ! new_enough /usr/bin/rustc; then wanted+=(rustc-web cargo-web); fi
	compgen -G '/usr/src/rustc-*/library/Cargo.toml' >/dev/null || wanted+=(rust-web-src)
	have wasm-ld-22 || wanted+=(lld-22)
	[ ${#wanted[@]} = 0 ] || apt_install "${wanted[@]}"
	new_enough /usr/bin/rustc || die "Debian's rustc is older than 1.$RUST_MIN." \
		"Enable the security mirror of your Debian release, or install rustup from https://rustup.rs, then run make setup again."
	can_wasm /usr/bin wasm-ld-22 || scripts/wasm-sysroot.sh /usr/bin
	debian_ready || die "Debian's rustc still cannot build for $TARGET." "Run scripts/wasm-sysroot.sh by hand and read its output."
}

# Prints the bin directory of a rustup toolchain that can build the runtime; with `add`, installs the target first.
rustup_find() {
	local home=${RUSTUP_HOME:-$HOME/.rustup} name dir
	# Read from the disk, because rustup may download a toolchain that it is asked for.
	for dir in "$home"/toolchains/stable-* "$home"/toolchains/1.* "$home"/toolchains/*; do
		if ! [ -x "$dir/bin/rustc" ] || ! new_enough "$dir/bin/rustc"; then continue; fi
		case $dir in */nightly-* | */beta-*) continue ;; esac
		if [ "${1:-}" = add ]; then
			name=${dir##*/}
			note "rustup target add $TARGET --toolchain $name" >&2
			local status=0
			RUST_BACKTRACE=0 timeout 60 rustup target add "$TARGET" --toolchain "$name" </dev/null >&2 || status=$?
			[ $status != 124 ] || return 124 # the server does not answer; the next request would time out too
			[ $status = 0 ] || continue
		fi
		if can_wasm "$dir/bin"; then
			printf '%s\n' "$dir/bin"
			return 0
		fi
	done
	return 1
}

rustup_install() {
	have rustup || return 1
	rustup_find && return 0
	local status=0
	rustup_find add || status=$?
	case $status in 0) return 0 ;; 124) return 1 ;; esac
	note "rustup has no toolchain ≥ 1.$RUST_MIN: trying to install $RUSTUP_PIN (at most ten minutes)" >&2
	RUST_BACKTRACE=0 timeout 600 rustup toolchain install "$RUSTUP_PIN" --profile minimal --component clippy --component rustfmt \
		--target "$TARGET" </dev/null >&2 || return 1
	rustup_find
}

choose() {
	local bin
	case ${ASSAY_TOOLCHAIN:-} in
	'') ;;
	debian)
		debian_install
		echo "debian /usr/bin" >"$ASSAY_STAMP"
		return
		;;
	rustup)
		bin=$(rustup_install) || die "rustup cannot provide Rust ≥ 1.$RUST_MIN with $TARGET." \
			"Check the network, or use Debian's packages: ASSAY_TOOLCHAIN=debian make setup"
		echo "rustup $bin" >"$ASSAY_STAMP"
		return
		;;
	*) die "ASSAY_TOOLCHAIN is '$ASSAY_TOOLCHAIN'." "It may be rustup or debian." ;;
	esac
	# The toolchain chosen last time stays as long as it works, since another one means building everything again.
	if [ "$ASSAY_WAY" = rustup ] && new_enough "$ASSAY_BIN_DIR/rustc" && can_wasm "$ASSAY_BIN_DIR"; then return; fi
	if debian_ready; then
		echo "debian /usr/bin" >"$ASSAY_STAMP"
	elif bin=$(rustup_install); then
		echo "rustup $bin" >"$ASSAY_STAMP"
	elif have apt-get; then
		have rustup && note "rustup cannot get $TARGET here (no network?): using Debian's packages instead"
		debian_install
		echo "debian /usr/bin" >"$ASSAY_STAMP"
	else
		die "no Rust ≥ 1.$RUST_MIN with the target $TARGET." \
			"Install rustup from https://rustup.rs, then: rustup toolchain install $RUSTUP_PIN --target $TARGET, and make setup again."
	fi
}

# ── main ────────────────────────────────────────────────────────────────

[ "$(uname -s)" = Linux ] || note "Assay is tested on Linux only; $(uname -s) may not work"
mkdir -p "$ASSAY_CACHE"
packages
[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
packages
[ ${#missing[@]} = 0 ] || die "still missing after the installation: ${missing[*]}"
browser
choose
. scripts/env.sh

free=$(df -Pk "$ASSAY_CACHE" | awk 'NR == 2 { print int($4 / 1048576) }')
if [ ! -d "$CARGO_TARGET_DIR/release" ] && [ "$free" -lt 10 ]; then
	die "$free GB are free for $ASSAY_CACHE; a build takes about 8." \
		"Free some, or set CARGO_TARGET_DIR to a directory on a larger disk."
fi

if ! cargo fetch --locked --quiet 2>"$ASSAY_CACHE/fetch.log"; then
	cat "$ASSAY_CACHE/fetch.log" >&2
	if grep -q -- --locked "$ASSAY_CACHE/fetch.log"; then
		die "Cargo.lock does not belong to the manifests of this tree." \
			"After a change of a Cargo.toml: cargo metadata --format-version 1 >/dev/null, and commit Cargo.lock with it."
	fi
	die "cargo could not fetch the dependencies." "Check the network (a registry mirror goes into ~/.cargo/config.toml), then run make setup again."
fi

say "Ready: $(rustc --version | cut -d' ' -f1,2) (${ASSAY_WAY:-rustup}), node $(node --version), builds in $CARGO_TARGET_DIR"
