# `make demo` and `make test` do all the set-up they need: Python >= 3.11, make and a package index are enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# two test processes, a file at a time, each on one thread of BLAS and OpenMP: they would wait for each other otherwise
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# where bytecode is not written, every one of the tests' processes compiles torch and all the rest anew, for ten seconds
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test slow lint bench docs clean

demo: $(VENV)/installed
	@$(BIN)/conjugacy demo --out demo

test: $(VENV)/installed
	$(TEST)

slow: $(VENV)/installed
	$(TEST) -m slow

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/installed
	$(BIN)/python benchmarks/bench.py --out bench.json

# opens from disk: docs/_build/html/index.html
docs: $(VENV)/installed-docs
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "conjugacy needs Python >= 3.11, this is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12")'
	@echo "Installing into $(VENV), once; this takes a few minutes ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check --constraint constraints.txt torch
	@$(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) demo bench.json docs/_build docs/api docs/gallery docs/examples/runs
