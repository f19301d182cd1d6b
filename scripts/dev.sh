#!/usr/bin/env bash
# Runs a development chain in the foreground: one node with the keys of four providers. Ctrl-C ends it and deletes the
# chain. Arguments go to the node: scripts/dev.sh --rpc-port 9955
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
scripts/setup.sh
scripts/build.sh
say "A development chain on ws://127.0.0.1:9944; Ctrl-C ends it"
note "in another terminal: bin/assay ask \"What is a receipt?\""
# Indexing, so that this node can prove receipts that the chain has pruned.
exec bin/assay-node --dev --tmp --no-telemetry --enable-offchain-indexing true "$@"
