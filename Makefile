# Everything from nothing but Python and make; each target can be repeated.
#   make train       trains the embedded example on a CPU, in about 7 minutes where it has bfloat16
#   make test        ruff and the tests      make test-long   the tests that take minutes
#   make check       formats, then make test
#   make clean       removes caches and builds; runs/ and .venv stay
PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := .venv/bin
DEFAULT_RUN := runs/flowers32
# Two files at a time, in the order of their names: the longest ones come early, and none is left alone at the end.
TESTS := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: train test test-long check clean
.DEFAULT_GOAL := train

train: .venv/installed
	$(BIN)/python train.py experiment=flowers32
	@echo
	@echo "Look at the flowers in $(DEFAULT_RUN)/snapshots, and draw others with"
	@echo "  $(BIN)/python generate.py network=$(DEFAULT_RUN) seeds=0-15"

test: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(TESTS)

test-long: .venv/installed-dev
	$(BIN)/python -m pytest -m "long or hypothesis" --hypothesis-profile=many

check: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check .
	$(TESTS)

# The stamps are newer than pyproject.toml as long as what is installed is what it asks for.
.venv/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --editable .
	@touch $@

.venv/installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --editable '.[dev]'
	@touch .venv/installed $@

$(BIN)/python:
	$(PYTHON) -m venv .venv

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
