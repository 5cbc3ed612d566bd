# Every command of the project. `make` alone prints them from their ## notes.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp
T ?= tests
SIZE ?= M
OPERATIONS ?= 10000
SCALE ?= 1
DISCONNECTS ?= 500
CASES ?= 100000
FILE ?= dist/forumapi
WITH ?=
RUN ?=

SUITE := $(BIN)/python scripts/suite

# Without bytecode every process that is started would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help catalogs venv run test test-wide chaos soak-disconnects fuzz-permissions mutants test-quick lint format smoke walk proof disconnects bench bench-edge bench-files bench-live bench-mail cluster testdb migrate dbshell routes dist clients install clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

run: $(STAMP) ## run everything: PostgreSQL, demo sites, web, cron; Ctrl-C stops it (RUN=--open-to-others beyond this machine)
	@exec $(BIN)/python -m forumapi run $(RUN)

test: $(STAMP) ## run the test suite but its wide part (T=tests/test_config.py for a part of it)
	@scripts/testdb prepare
	@# More processes than there are cores: many tests wait for others' processes.
	@$(SUITE) -n $$(($$(nproc) + 2)) -m "not wide" $(T)

test-wide: $(STAMP) ## run what takes long: the large matrices, whole, and what lasts minutes
	@scripts/testdb prepare
	@$(SUITE) -n $$(($$(nproc) + 3)) -m wide $(T)

chaos: $(STAMP) ## take things away under load, print what was lost (SCALE=0.1 for a try, OPERATIONS=10000 random writes)
	@scripts/testdb prepare
	@SCALE=$(SCALE) $(BIN)/python -m scripts.chaos
	@CHAOS_OPERATIONS=$(OPERATIONS) $(BIN)/python -m pytest -q tests/chaos/test_random_writers.py

soak-disconnects: $(STAMP) ## cut those who follow events five hundred times, then compare what they got with the log (DISCONNECTS=500)
	@scripts/testdb prepare
	@DISCONNECTS=$(DISCONNECTS) $(BIN)/python -m pytest -q -s tests/realtime/test_disconnects.py

fuzz-permissions: $(STAMP) ## ask a hundred thousand random questions about permissions, and as many requests, also for records of moderation, print how often each answer came
	@scripts/testdb prepare
	@ORACLE_CASES=$(CASES) $(BIN)/python -m pytest -q -s tests/oracle tests/realtime/test_audience.py tests/handlers/trust/test_who_sees.py

mutants: $(STAMP) ## put 300 faults into copies of the code, one at a time, list what no test finds (MUTANTS="--count 20 --anew")
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-mutants.lock
	@scripts/testdb prepare
	@$(BIN)/python -m scripts.mutants $(MUTANTS)

test-quick: $(STAMP) ## run the tests that are not marked slow
	@$(SUITE) -n logical -m "not slow and not wide" $(T)

lint: $(STAMP) ## check format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

catalogs: $(STAMP) ## update the website's catalogs (CATALOGS=--check looks whether they are whole)
	@$(BIN)/python -m scripts.catalogs $(CATALOGS)

format: $(STAMP) ## format the code and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

smoke: $(STAMP) ## lead people through a running `make run` (SMOKE="notifications --site URL" for a part, elsewhere)
	@$(BIN)/python -m scripts.smoke $(or $(SMOKE),$(WALK))

# Names of the release before.
NEW_walk := smoke
NEW_proof := fuzz-permissions
NEW_disconnects := soak-disconnects
walk proof disconnects:
	@echo "make $@ is the old name of make $(NEW_$@)" >&2
	@$(MAKE) --no-print-directory $(NEW_$@)

bench: $(STAMP) ## load a data set (SIZE=S, M or L) and time every page beside the floor
	@$(BIN)/python -m scripts.bench --size $(SIZE)

bench-edge: $(STAMP) ## measure nginx in front, memory with many clients, start of the one file (EDGE="memory start" for a part)
	@$(BIN)/python -m scripts.bench.edge --size $(SIZE) $(EDGE)

bench-files: $(STAMP) ## time downloads beside nginx, and thumbnails (SIZE=S, M or L)
	@$(BIN)/python -m scripts.bench.files --size $(SIZE)

bench-mail: $(STAMP) ## time how fast mail about updates leaves (SIZE=S, M or L)
	@$(BIN)/python -m scripts.bench.outbox --size $(SIZE)

cluster: $(STAMP) ## start two nodes, nginx, PgBouncer, a standby, three memcacheds; Ctrl-C ends it
	@$(BIN)/python -m scripts.cluster

bench-live: $(STAMP) ## time events on their way to very many listeners (LIVE="latency --rate 20" for a part)
	@$(BIN)/python -m scripts.bench.live $(LIVE)

testdb: $(STAMP) ## start a throw-away PostgreSQL and memcached (scripts/testdb stop ends them)
	@scripts/testdb prepare
	@scripts/testdb start

migrate: $(STAMP) ## bring the configured (else the embedded) database to this release
	@$(BIN)/python -m forumapi migrate

dbshell: $(STAMP) ## psql on the configured (else the embedded) database
	@$(BIN)/python -m forumapi shell --sql

routes: $(STAMP) ## write the table of routes and their operation ids into tests/saved
	@mkdir -p tests/saved
	@$(BIN)/python -m forumapi routes > tests/saved/routes.txt

dist: $(STAMP) ## build dist/forumapi, the platform as one file, and the bill of what is in it
	@scripts/dist

clients: $(STAMP) ## build the clients for Python and TypeScript into dist/clients
	@$(BIN)/python -m scripts.clients

install: ## install it (DESTDIR=... below a folder; FILE=... a file built before; WITH=--upstart)
	@test -x $(FILE) || $(MAKE) -s dist
	@$(FILE) install --destdir "$(DESTDIR)" $(WITH)

clean: ## remove what was built; data under ./var stays
	@rm -rf dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find forumapi tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
