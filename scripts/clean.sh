#!/usr/bin/env bash
# Removes build output: the target directories (which all clones share), bin/, the built page, and all node_modules.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh
say "Removing $CARGO_TARGET_DIR, bin/, web/dist, and the node_modules of e2e/js and web"
rm -rf "${CARGO_TARGET_DIR:?}" "${ASSAY_CACHE:?}/lint" "$ASSAY_CACHE/cuda/target" bin e2e/js/node_modules zombienet/target bench/target
rm -rf web/dist web/node_modules web/verifier/node_modules web/verifier/dist
