#!/usr/bin/env bash
# Runs four validators under zombienet's native provider. Without an argument, runs the tests on them; with the name of a
# network of zombienet/networks, runs that network until Ctrl-C:  scripts/zombienet.sh with-observer
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
scripts/setup.sh
scripts/build.sh
. scripts/env.sh

for tool in bash tar; do have "$tool" || die "zombienet's native provider needs $tool."; done

work=$(mktemp -d "${TMPDIR:-/tmp}/assay-zombienet.XXXXXX")
trap 'rm -rf "$work"' EXIT
export ASSAY_NODE=$CARGO_TARGET_DIR/release/assay-node ASSAY_CLI=$CARGO_TARGET_DIR/release/assay
export ASSAY_CHAIN_SPEC=$work/local.json

say "Writing the chain specification"
"$ASSAY_NODE" export-chain-spec --chain local --raw --output "$ASSAY_CHAIN_SPEC" 2>"$work/log" || {
	cat "$work/log" >&2
	die "the node could not write its chain specification."
}

# A target directory of its own, for another workspace with another profile.
export CARGO_TARGET_DIR=$ASSAY_CACHE/zombienet
say "Building the networks (750 crates the first time)"
cd zombienet
if [ $# -gt 0 ]; then
	cargo run --locked --quiet -- "$1"
else
	cargo test --locked -- --nocapture
fi
