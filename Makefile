# `make demo` and `make test` do everything on a fresh clone, the virtual environment included.
# A stamp file in .venv remembers what was installed, so that a second call installs nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
DOCS := $(VENV)/.docs

.PHONY: help setup demo test test-all bench lint docs clean
.DELETE_ON_ERROR:

help:
	@echo "make demo      improve a small model on this machine and print the report's path"
	@echo "make test      style, types, layers, and the tests that need no weights"
	@echo "make test-all  the same, and the tests on real weights and the slow ones"
	@echo "make lint      style, types, layers"
	@echo "make bench     the benchmarks, each beside its peer"
	@echo "make docs      the documentation as pages in build/docs"
	@echo "make setup     only the virtual environment, for working on the code"
	@echo "make clean     remove what make made, .venv included; runs/ stays"

setup: $(DEV)

demo: $(RUNTIME)
	$(BIN)/burnish improve --preset laptop

# One process a core, one thread each. With CI=true, as .ci/run sets it, the tests on real weights
# and the slow ones run too, one after another with all threads.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal
ifeq ($(CI),true)
	$(BIN)/python -m pytest -q -m "(weights or slow) and not gpu and not peer"
endif

test-all:
	$(MAKE) test CI=true

lint: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/pyright

bench: $(DEV)
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

docs: $(DOCS)
	$(BIN)/python -m burnish.cli.reference > docs/reference/cli.md.new
	mv docs/reference/cli.md.new docs/reference/cli.md
	$(BIN)/mkdocs build --quiet --strict --site-dir build/docs

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what burnish needs into $(VENV); this is done once."
	$(INSTALL) -e .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing burnish and what its tests need into $(VENV); this is done once."
	$(INSTALL) -e ".[dev]"
	@touch $(RUNTIME) $@

$(DOCS): $(DEV)
	$(INSTALL) -e ".[docs]"
	@touch $@
