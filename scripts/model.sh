#!/usr/bin/env bash
# Trains the demo model again from its corpus and recipe, quantizes it, and writes it to a directory in the cache. With
# --replace, it and the float model it was made from replace the bundled ones. The runtime's presets contain the model's id,
# so rebuild after that.
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
say "Quantizing to profile c2"
bin/assay model import "$out/trained" "$out/assay-demo" --name assay-demo --license Apache-2.0 \
	--source-url "assay-train, from demo-model/corpus"
bin/assay model check "$out/assay-demo"
id=$(sed -nE 's/^  "model_id": "(0x[0-9a-f]{64})",$/\1/p' "$out/assay-demo/manifest.json")
say "Trained $id"
note "bundled: $(cat demo-model/assay-demo/model_id)"
say "Scoring it on held-out questions"
"$CARGO_TARGET_DIR/release/assay-judge" --assay bin/assay --model "$out/assay-demo"
bin/assay model run "$out/assay-demo" "What is a receipt?"

if [ "${1:-}" = --replace ]; then
	cp "$out"/trained/* demo-model/original/
	cp "$out"/assay-demo/* demo-model/assay-demo/
	printf '%s\n' "$id" >demo-model/assay-demo/model_id
	note "replaced demo-model/original and demo-model/assay-demo: make build, write the engine's golden vectors again" \
		"(ASSAY_GOLDEN=write, see CONTRIBUTING.md) and model-folder's registration (ASSAY_BLESS=1), and run all tests"
else
	note "it is in $out/assay-demo; scripts/model.sh --replace makes it the bundled one"
fi
