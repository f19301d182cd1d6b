#!/usr/bin/env bash
# Runs the tests that take long: kills, stops and cuts off nodes of a network of four while it works, for half an hour, and
# checks that it costs no honest provider its bond; lets a third of the validators go silent until finality returns;
# follows claims to their settlement and into the accumulator; and lets a crowd load a node's RPC.
#
# Variables that may be set before: ASSAY_CHAOS_SECONDS (1800), ASSAY_CHAOS_SEED (a number; each run prints its own),
# ASSAY_LOAD_SECONDS (600).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh
if [ -z "${ASSAY_LOCKED:-}" ]; then scripts/setup.sh; fi
lock_target "$@"
. scripts/env.sh
scripts/build.sh

say "A storm of $(clock "${ASSAY_CHAOS_SECONDS:-1800}"), then a silent validator, and claims until they are settled"
# The whole workspace, so that nothing is built with other features than by `make build`.
cargo test --release --locked --workspace --test chaos --test finality --test load --test nodes -- --ignored
