.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help install run test lint types unit e2e leaderboard pictures bench format clean

help: ## List the targets
	@grep -E "^[a-z0-9]+:.*## " $(MAKEFILE_LIST) | sed -E "s/:.*## /\t/" | expand -t 12

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "evalkit needs Python 3.11 or newer: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[gguf,dev]"
	@touch $@

install: $(INSTALLED) ## Make .venv and install evalkit into it

run: $(INSTALLED) ## A real model through the bundled samples of all five benchmarks, and the table
	$(BIN)/python -m evalkit run smollm2-135m data=sample

test: lint types leaderboard unit ## Lint, types, whether the results are up to date, tests

lint: $(INSTALLED) ## ruff, and whether lower floors know nothing of higher ones
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

types: $(INSTALLED) ## mypy --strict
	$(BIN)/mypy

unit: $(INSTALLED) ## pytest: files side by side, then the real command line on a real model once
	$(BIN)/python -m pytest -n 3 --dist loadfile --ignore tests/e2e
	$(BIN)/python -m pytest tests/e2e/test_run.py

e2e: $(INSTALLED) ## pytest: everything else that runs the command line on a real model, for minutes
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/e2e/test_docs.py
	$(BIN)/python -m pytest tests/e2e --ignore tests/e2e/test_run.py --ignore tests/e2e/test_docs.py

leaderboard: $(INSTALLED) ## Whether everything under results/ is what its records give
	$(BIN)/python -m evalkit leaderboard local=false --check

pictures: $(INSTALLED) ## Make results/, and README's table and pictures, again from the records
	$(BIN)/python -m evalkit leaderboard local=false
	$(BIN)/python -m tests.readme

bench: $(INSTALLED) ## Measure the harness itself: prompt work and time outside the engine
	$(BIN)/python -m bench order model=smollm2-135m data=sample

format: $(INSTALLED) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove everything that the other targets made, but not results/runs
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
