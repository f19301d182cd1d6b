# What one does with this house. Each word calls a script that can be read on its own.

.DEFAULT_GOAL := help
SHELL := bash
.PHONY: help setup build engine-cuda demo dev test fmt lint bench bench-gpu fuzz model zombienet clean

help: ## these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing on this machine (root, or it says what to install)
	@scripts/setup.sh

build: setup ## build every program and test; links bin/assay, bin/assay-node, bin/assay-engine
	@scripts/build.sh

engine-cuda: ## build the engine for NVIDIA cards, bin/assay-engine-cuda (no card needed; 20 minutes the first time)
	@scripts/engine-cuda.sh

demo: ## a chain, a question, an answer, a checked receipt
	@scripts/demo.sh

dev: ## a development chain in the foreground, on ws://127.0.0.1:9944
	@scripts/dev.sh

test: ## every test; ends with a line that counts them
	@scripts/test.sh

fmt: ## format all Rust files
	@scripts/fmt.sh

lint: ## format, clippy, licences, one version of each SDK crate
	@scripts/lint.sh

bench: ## the engine beside llama.cpp and candle: docs/benchmarks.md, written anew (40 minutes the first time)
	@scripts/bench.sh

bench-gpu: ## the engine on an NVIDIA card beside PyTorch: docs/benchmarks-gpu.md (needs a card; make engine-cuda first, anywhere)
	@scripts/bench-gpu.sh

fuzz: ## the parsers against libFuzzer, a million executions each (FUZZ_RUNS, FUZZ_SECONDS)
	@scripts/fuzz.sh

model: ## train the bundled demo model again from its recipe (minutes)
	@scripts/model.sh

zombienet: ## four validators under zombienet: finality, and a job that settles
	@scripts/zombienet.sh

clean: ## forget this clone's build; dependencies go with it
	@scripts/clean.sh
