#!/usr/bin/env bash
# Measures the engine on this machine: load, prefill, decode, and verify ÷ generate, on the demo model.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
scripts/setup.sh
scripts/build.sh
