#!/usr/bin/env bash
# Trains the demo model again from its corpus and recipe, quantises it, and writes it to a folder to look at. With --replace it
# and the floats it was made from take the place of the bundled ones, whose name the runtime's presets carry: then rebuild.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
scripts/setup.sh
scripts/build.sh
. scripts/env.sh

out=$ASSAY_CACHE/demo-model
rm -rf "$out"
mkdir -p "$out"
say "Training (some minutes)"
"$CARGO_TARGET_DIR/release/assay-train" --out "$out/trained"
say "Quantising to profile c1-w8"
bin/assay model import "$out/trained" "$out/assay-demo" --name assay-demo --licence Apache-2.0 \
	--source-url "assay-train, from demo-model/corpus"
bin/assay model check "$out/assay-demo"
id=$(sed -nE 's/^  "model_id": "(0x[0-9a-f]{64})",$/\1/p' "$out/assay-demo/manifest.json")
say "Trained $id"
note "bundled: $(cat demo-model/assay-demo/model_id)"
say "Judging it on questions it never learnt"
"$CARGO_TARGET_DIR/release/assay-judge" --assay bin/assay --model "$out/assay-demo"
bin/assay model run "$out/assay-demo" "What is a receipt?"

if [ "${1:-}" = --replace ]; then
	cp "$out"/trained/* demo-model/original/
	cp "$out"/assay-demo/* demo-model/assay-demo/
	printf '%s\n' "$id" >demo-model/assay-demo/model_id
	note "replaced demo-model/original and demo-model/assay-demo: make build, ASSAY_GOLDEN=write for the engine's tests, ASSAY_BLESS=1 for those of model-folder, and run all"
else
	note "it lies in $out/assay-demo; scripts/model.sh --replace makes it the bundled one"
fi
