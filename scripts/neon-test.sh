#!/usr/bin/env bash
# Runs the tests of the arithmetic in an emulation of aarch64, with `sdot` and without:
#
#   scripts/neon-test.sh [ARGUMENT…]   ARGUMENT is one of the test programs', such as a part of a test's name
#
# It needs a cross compiler, QEMU and the target of rustup. On Debian: apt-get install gcc-aarch64-linux-gnu
# libc6-dev-arm64-cross qemu-user-static; rustup target add aarch64-unknown-linux-gnu.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

target=aarch64-unknown-linux-gnu
for program in aarch64-linux-gnu-gcc qemu-aarch64-static; do
	have "$program" || die "$program is missing." \
		"On Debian: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static"
done
[ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || die "rustc cannot build for $target." "rustup target add $target"

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# A CPU with `sdot`, where the kernel is NEON's, and one of before, where it is the portable one.
for cpu in neoverse-n1 cortex-a72; do
	say "The tests of the arithmetic on an emulated $cpu"
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu $cpu -L /usr/aarch64-linux-gnu" \
		cargo test --release --locked -p assay-numerics --features test-utils --target "$target" -- "$@"
done
