#!/usr/bin/env bash
# Simulates cartels against the chain's own rules and writes the tables of docs/security.md. A million jobs a figure take
# about an hour on two cores; the result depends on the seed and the number of jobs alone.
#
# What may be set: SIMULATE_JOBS (1000000), SIMULATE_SEED (1), SIMULATE_OUT (docs/security.md).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
scripts/setup.sh
. scripts/env.sh

say "Building the simulation"
cargo build --release --locked --quiet -p assay-simulate

say "Simulating"
"$CARGO_TARGET_DIR/release/assay-simulate" --jobs "${SIMULATE_JOBS:-1000000}" --seed "${SIMULATE_SEED:-1}" \
	--out "${SIMULATE_OUT:-docs/security.md}"
