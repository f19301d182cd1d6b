#!/usr/bin/env bash
# Removes build output: the target directories (which all clones share), bin/, and the JavaScript clients' node_modules.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh
say "Removing $CARGO_TARGET_DIR, bin/ and e2e/js/node_modules"
rm -rf "${CARGO_TARGET_DIR:?}" "${ASSAY_CACHE:?}/lint" "$ASSAY_CACHE/cuda/target" bin e2e/js/node_modules zombienet/target bench/target
