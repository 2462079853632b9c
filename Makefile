.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALLED := $(VENV)/.installed
WITH_TOOLS := $(VENV)/.with-tools

.PHONY: help install run test lint types unit e2e leaderboard pictures bench format clean

help: ## List the targets
	@grep -E "^[a-z0-9]+:.*## " $(MAKEFILE_LIST) | sed -E "s/:.*## /\t/" | expand -t 12

# Modules are compiled when they are first imported: of 200 MB of bytecode a run needs a tenth.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "evalkit needs Python 3.11 or newer: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --no-compile -e ".[gguf]"
	@touch $@

$(WITH_TOOLS): $(INSTALLED)
	$(PIP) -e ".[gguf,dev]"
	@touch $@

install: $(INSTALLED) ## Make .venv and install evalkit into it

# A demonstration: few questions, short answers. Without both settings it is all 79 bundled questions, in minutes.
DEMONSTRATION ?= limit=6 protocol.max_tokens=64

define SHOWN

What you saw, with a model that is far too small to know finance:
- SmolLM2-135M, a GGUF file of 98 MB, was downloaded, checked, and served by llama.cpp on this machine.
- It was asked 24 bundled questions of four benchmarks; the fifth, free text, is only asked with a judge.
- Each answer was on disk before it counted: the same command again generates nothing.
- "right" is per cent by a rule, with its 95 % interval: wide, as so few questions decide nothing.
- "cut off" counts answers that ran into the token limit: where most did, a score says little.
Now, after `. $(VENV)/bin/activate`:
  evalkit show last                                           every answer, and why it counts as it does
  evalkit run my.gguf                                         a file of your own
  evalkit sweep A.gguf B.gguf benchmark=finqa,tfns limit=50   two files, and which to deploy
endef
export SHOWN

run: $(INSTALLED) ## A real model through a few bundled questions of each benchmark, and the table
	$(BIN)/python -m evalkit run smollm2-135m data=sample $(DEMONSTRATION)
	@echo "$$SHOWN"

test: lint types leaderboard unit ## Lint, types, whether the results are up to date, tests

lint: $(WITH_TOOLS) ## ruff, and whether lower floors know nothing of higher ones
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

types: $(WITH_TOOLS) ## mypy --strict
	$(BIN)/mypy

unit: $(WITH_TOOLS) ## pytest: files side by side, then the real command line on a real model once
	$(BIN)/python -m pytest -n 3 --dist loadfile --ignore tests/e2e
	$(BIN)/python -m pytest tests/e2e/test_run.py

e2e: $(WITH_TOOLS) ## pytest: everything else that runs the command line on a real model, for minutes
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 15 tests/e2e --ignore tests/e2e/test_run.py

leaderboard: $(WITH_TOOLS) ## Whether everything under results/ is what its records give
	$(BIN)/python -m evalkit leaderboard local=false --check

pictures: $(WITH_TOOLS) ## Make results/, and README's table and pictures, again from the records
	$(BIN)/python -m evalkit leaderboard local=false
	$(BIN)/python -m tests.readme

bench: $(INSTALLED) ## Measure the harness itself: prompt work and time outside the engine
	$(BIN)/python -m bench order model=smollm2-135m data=sample

format: $(WITH_TOOLS) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove everything that the other targets made, but not results/runs
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
