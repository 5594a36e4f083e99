# `make run` and `make test` set up everything that they need on first use.
#
#   PYTHON       the interpreter to make .venv with (3.11 or newer)
#   TORCH_INDEX  the address of a package index to take torch from, for instance one with builds for CPUs only;
#                empty: the index that pip is configured with

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_FULL := $(VENV)/.installed-full
INSTALLED_DOCS := $(VENV)/.installed-docs
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run test test-full test-faults check format bench docs clean

run: $(INSTALLED)
	$(BIN)/espalier run $(ARGS)

test: $(INSTALLED_DEV)
	$(BIN)/python -m pytest $(ARGS)

test-full: $(INSTALLED_FULL)
	$(BIN)/python -m pytest -m full $(ARGS)

test-faults: $(INSTALLED_FULL)
	$(BIN)/python -m pytest -m faults $(ARGS)

check: $(INSTALLED_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED_DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED_DEV)
	$(BIN)/python -m benchmarks.start_up
	$(BIN)/python -m benchmarks.lightning_overhead
	$(BIN)/python -m benchmarks.digits

docs: $(INSTALLED_DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Espalier needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing Espalier into $(VENV); this takes some minutes the first time"
	$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) torch)
	$(PIP) -e '.[explain]'
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(PIP) -e '.[dev]'
	@touch $@

$(INSTALLED_FULL): $(INSTALLED_DEV)
	$(PIP) -e '.[full,dask,ray,postgresql]'
	@touch $@

$(INSTALLED_DOCS): $(INSTALLED)
	$(PIP) -e '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) site build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
