#!/usr/bin/env bash
# Builds every program and every test with one profile and one set of features, so that nothing is built twice and the
# tests run against the programs that people get. Links the programs into bin/, and builds the page, if npm's registry can
# be reached.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh
lock_target "$@"

say "Building (the first time takes 45 to 60 minutes on two cores, later ones seconds to minutes)"
start=$SECONDS
cargo build --release --locked --workspace --bins --tests ||
	die "the build failed; rustc's errors are above." "If a target or linker is missing: make setup."
mkdir -p bin
for program in assay assay-node assay-engine; do
	ln -sfn "$CARGO_TARGET_DIR/release/$program" "bin/$program"
done
note "built in $(clock $((SECONDS - start))): bin/assay, bin/assay-node, bin/assay-engine"
# Everything but the page works without it.
scripts/web.sh || note "the page is NOT built: assay serve explains at its address what to do"
