# The commands of this repository. Each target calls a script that can be read on its own.

.DEFAULT_GOAL := help
SHELL := bash
.PHONY: help setup build web engine-cuda demo dev test fmt lint bench bench-gpu quality simulate fuzz model zombienet clean chaos upgrade-test

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing on this machine (as root; otherwise lists what to install)
	@scripts/setup.sh

build: setup ## build every program and test; links bin/assay, bin/assay-node, bin/assay-engine
	@scripts/build.sh

web: ## build the page alone, into web/dist
	@scripts/web.sh

engine-cuda: ## build the engine for NVIDIA GPUs, bin/assay-engine-cuda (needs no GPU; 20 minutes the first time)
	@scripts/engine-cuda.sh

demo: ## start a chain, ask it a question, check the receipt
	@scripts/demo.sh

dev: ## run a development chain in the foreground, on ws://127.0.0.1:9944, and its page on http://127.0.0.1:8080
	@scripts/dev.sh

test: ## run every test; ends with a line that counts them
	@scripts/test.sh

chaos: ## run the long tests: a storm of kills and forks (ASSAY_CHAOS_SECONDS), settlements, a crowd (an hour)
	@scripts/chaos.sh

upgrade-test: ## rehearse the upgrade of a chain of the last release (builds its Wasm the first time, 10 to 20 minutes)
	@scripts/upgrade-test.sh

fmt: ## format all Rust files
	@scripts/fmt.sh

lint: ## check format, clippy, dependencies and their licenses, scripts and documents
	@scripts/lint.sh

bench: ## compare the engine with its peers on this CPU, and write docs/benchmarks.md again (two hours the first time)
	@scripts/bench.sh

bench-gpu: ## compare the engine on an NVIDIA GPU with PyTorch, for docs/benchmarks-gpu.md (after make engine-cuda)
	@scripts/bench-gpu.sh

quality: ## compare models in each format of weights with their floats, for docs/models.md (half an hour)
	@scripts/quality.sh

simulate: ## simulate cartels against the chain's own rules, and write the tables of docs/security.md (an hour)
	@scripts/simulate.sh

fuzz: ## fuzz the parsers with libFuzzer, a million executions each (FUZZ_RUNS, FUZZ_SECONDS)
	@scripts/fuzz.sh

model: ## train the bundled demo model again from its recipe (minutes)
	@scripts/model.sh

zombienet: ## test four validators under zombienet: finality, and a job that is confirmed
	@scripts/zombienet.sh

clean: ## remove all build output, dependencies included
	@scripts/clean.sh
