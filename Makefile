# make search   set up .venv once, run the default search, print where its report is
# make test     set up .venv once, then lint, types and tests
#
# Both need nothing but make and Python 3.11 or newer (PYTHON=python3.12 names another one).
# PIP_ARGS goes to every pip install, for example to name the index of a CPU build of torch.

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
SEARCH_ARGS ?=
PYTEST_ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) -c constraints.txt

.PHONY: help venv search test lint bench clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -n 5

venv: $(STAMP)

$(STAMP): pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "hybrid-nas needs Python 3.11 or newer; '$(PYTHON)' is" \
	    "$$($(PYTHON) --version 2>/dev/null || echo 'not there'). Name another one: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments: install its venv package" \
	    "(Debian, Ubuntu: apt install python3-venv) and try again." >&2; \
	  exit 1; }
	@echo "Setting up $(VENV) (once; downloads PyTorch and the other dependencies)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) torch  # first and alone: the longest download, in the exact version of constraints.txt
	@$(PIP) -e '.[test]'
	@touch $@

search: venv
	@$(BIN)/hybrid-nas search --sram 320KB --flash 1MB $(SEARCH_ARGS)

# One thread per process: two processes of two threads each make torch slower than one.
test: lint
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

lint: venv
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: venv
	@for file in benchmarks/[a-z]*_throughput.py; do \
	  echo "== $$file"; OMP_NUM_THREADS=1 $(BIN)/python "$$file" || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
