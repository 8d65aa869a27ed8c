# The daily commands. Each makes .venv if there is none, and needs nothing but Python 3.11 or later.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
EXE := $(if $(filter Windows_NT,$(OS)),.exe)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Where the CPU build of torch lies; unreachable, it costs a warning and pip takes what it finds elsewhere.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: help demo test test-slow lint types format check docs wheel release-check test-lowest
.DEFAULT_GOAL := help

help:
	@echo "make demo       backtest the sample in data/, results in runs/demo"
	@echo "make test       the quick tests, under two minutes"
	@echo "make test-slow  the others: parity with torch, every runtime, a browser, kills, the wheel"
	@echo "make test-lowest  the quick tests with the lowest versions that pyproject.toml allows"
	@echo "make lint       ruff, import-linter, deptry   make format   mend what can be mended"
	@echo "make types      mypy, strict              make check    lint, types and test"
	@echo "make docs       the documentation site in site/, broken links are errors"
	@echo "make wheel      sdist and wheel in dist/   make release-check  install and try both"

demo: $(VENV)/.has-cpu
	rm -rf runs/demo
	$(BIN)/bt-neuro backtest data/SYNTHETIC_EURUSD_H1.csv --out runs/demo

test: $(VENV)/.has-dev
	$(BIN)/python -m pytest -m "not slow" -n auto

# One process: they share the device and would slow each other.
test-slow: $(VENV)/.has-parity
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.has-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .

format: $(VENV)/.has-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.has-dev
	$(BIN)/mypy

check: lint types test

# The page of the command line is generated; everything else lies in docs/ and the docstrings.
docs: $(VENV)/.has-docs
	$(BIN)/typer bt_neuro.cli utils docs --name bt-neuro --title "Command line" --output docs/reference/command-line.md
	$(BIN)/zensical build --clean --strict

wheel: $(VENV)/.has-dev
	rm -f dist/bt_neuro-*
	$(BIN)/python -m build

release-check: wheel
	.ci/release-check $(PYTHON)

# The lowest versions that pyproject.toml allows, in an environment of their own.
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) .ci/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint .venv-lowest/constraints.txt \
		--editable ".[cpu,tune,excel,river]" pytest pytest-xdist hypothesis scikit-learn scipy empyrical-reloaded playwright \
		axe-playwright-python deptry import-linter ruff
	.venv-lowest/bin/python -m pytest -m "not slow" -n auto

# One stamp for each set of extras, so that what demo installed is not taken for what test needs.
# Apple and ARM machines have no runtime in `cpu`: there the system's OpenCL serves, or --device numpy.
$(VENV)/.has-cpu: EXTRAS := cpu
$(VENV)/.has-dev: EXTRAS := cpu,dev
$(VENV)/.has-docs: EXTRAS := docs
$(VENV)/.has-parity: EXTRAS := cpu,dev,parity,cluster
$(VENV)/.has-parity: PIP += --retries 1 --extra-index-url $(TORCH_INDEX)

$(VENV)/.has-%: pyproject.toml | $(BIN)/pip$(EXE)
	@echo "installing bt-neuro[$(EXTRAS)] into $(VENV), some minutes the first time"
	@$(PIP) --editable ".[$(EXTRAS)]"
	@$(BIN)/python -m compileall -q bt_neuro  # as pip does with a wheel: a start takes half a second less
	@touch $@

$(BIN)/pip$(EXE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) is not Python 3.11 or later; name one that is: make demo PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "no virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
