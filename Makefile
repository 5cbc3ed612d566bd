# Every command of the project. `make` alone prints them from their ## notes.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp
T ?= tests
SIZE ?= M

.DEFAULT_GOAL := help
.PHONY: help venv test test-quick lint format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## make .venv with the pinned dependencies (does nothing when it is up to date)

$(STAMP): requirements.lock requirements-dev.lock setup.cfg pyproject.toml
	@echo "venv: installing the pinned dependencies into .venv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "forumapi needs Python 3.11 or later (PYTHON=... chooses one)")'
	@# Debian splits ensurepip from Python: where it is missing, the pip outside fills the new environment.
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv >/dev/null 2>&1 \
	  || { $(PYTHON) -m venv --clear --without-pip .venv && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

test: $(STAMP) ## run the whole test suite (T=tests/test_config.py for a part of it)
	@$(BIN)/python -m pytest -n auto $(T)

test-quick: $(STAMP) ## run the tests that are not marked slow
	@$(BIN)/python -m pytest -n auto -m "not slow" $(T)

lint: $(STAMP) ## check format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(STAMP) ## format the code and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove what was built; data under ./var stays
	@rm -rf dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find forumapi tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
