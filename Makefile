# Everything a person or a machine runs here. `make demo` and `make test` are all you need.
#
# The virtual environment lies in .venv; what is installed in it is remembered by a stamp
# file there, so a second `make` installs nothing unless pyproject.toml changed.

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Files of tests side by side, a file in one process: what it prepares is prepared once. Each of
# them computes on one core: threads of several processes would mostly wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint types check bench

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/.with-train  ## Compare seven models on the built-in digits
	$(BIN)/pegboard demo

test: $(VENV)/.with-dev  ## Run the tests and print the coverage
	$(PYTEST) -m "not slow" --cov --cov-report=term:skip-covered

test-slow: $(VENV)/.with-dev  ## Run the tests that take minutes
	$(BIN)/python -m pytest -q -m slow

lint: $(VENV)/.with-dev  ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.with-dev  ## Check types, strictly
	$(BIN)/mypy

check: lint types test  ## All of the above, slow tests excepted

bench: $(VENV)/.with-dev  ## Run the scripts in benchmarks/, one after the other
	@for script in benchmarks/*.py; do \
	    echo "== $$script"; $(BIN)/python "$$script" || exit 1; \
	done

# A virtual environment with a working pip, made by the first Python that is new enough.
# An environment that is already there is kept.
$(BIN)/pip:
	@for python in $(PYTHON) python3.11 python3; do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "Making $(VENV) with $$("$$python" --version)"; \
	        exec "$$python" -m venv $(VENV); \
	    fi; \
	done; \
	echo "pegboard needs Python 3.11 or newer as python3.11 or python3;" \
	     "name another one with: make PYTHON=/path/to/python" >&2; \
	exit 1

# `dev` holds all that `train` holds, so the second install is skipped after the first.
$(VENV)/.with-train: pyproject.toml | $(BIN)/pip
	@if [ ! $(VENV)/.with-dev -nt pyproject.toml ]; then \
	    echo "Installing pegboard and PyTorch into $(VENV) (minutes, the first time)"; \
	    $(PIP) --editable '.[train]'; \
	fi
	@touch $@

$(VENV)/.with-dev: pyproject.toml | $(BIN)/pip
	@echo "Installing pegboard, PyTorch and the development tools into $(VENV) (minutes, the first time)"
	@$(PIP) --editable '.[dev]'
	@touch $@
