# Every command there is. `make` alone lists them.

# Without one from the caller, the fastest there is. Only what makes .venv asks for it, and only once.
PYTHON ?= $(eval PYTHON := $$(shell .ci/choose-python))$(PYTHON)
BIN    := .venv/bin
# Tests wait for processes and browsers half of their time, so two workers more than two cores keep them busy.
WORKERS ?= 4
# Tests start hundreds of processes; without it each would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test lint check format bench figures faults hostile openapi lock clean

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

run: .venv/installed ## the whole service on an embedded PostgreSQL, with a demo brand; LAN=1 for the local network; Ctrl-C stops it
	@$(BIN)/rewards up $(if $(LAN),--lan)

test: .venv/installed-dev ## all tests, on a PostgreSQL of their own; ONLY=tests/grants for a folder, file or test, ONLY=quote by name
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(if $(ONLY),$(if $(wildcard $(firstword $(subst ::, ,$(ONLY)))),"$(ONLY)",-k "$(ONLY)"))

lint: .venv/installed-dev ## format, lint, import contracts, types; less than a minute
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/pyright

check: lint test ## the gate: lint, then all tests

format: .venv/installed-dev ## format the code, and fix what lint can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/installed-dev ## VERSUS=ref compares this tree with that git ref, 25 minutes; without it, what everything costs, 40 minutes; QUICK=1 takes three, ONLY=name one
	@$(BIN)/python -m bench$(if $(VERSUS),.versus)

figures: .venv/installed-dev ## write what the last whole run of make bench measured into docs/performance.md
	@$(BIN)/python -m bench.document

hostile: .venv/installed-dev ## send a service everything it should refuse; MINUTES=10 for longer than one round
	@$(BIN)/python -m tests.hostile $(or $(MINUTES),0)

faults: .venv/installed-dev ## kill and restart everything under load, and check that nothing is lost or doubled, 10 minutes; FAULTS="--operations 2000" is shorter
	@$(BIN)/python -m tests.faults.storm $(FAULTS)

openapi: .venv/installed ## write openapi/openapi.json from the code
	@$(BIN)/python -m openapi

lock: ## compile requirements*.in into the locks with hashes (needs uv on the PATH)
	@uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 requirements.in -o requirements.lock
	@uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 requirements-dev.in -o requirements-dev.lock

clean: ## remove the virtual environment and caches; the demo's data in .rewards stays
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info

.venv/installed: requirements.lock requirements-files.lock pyproject.toml
	@command -v git >/dev/null || { echo "git is missing. On Debian: apt-get install git" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing. On Debian: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed, $(PYTHON) is older: make $(MAKECMDGOALS) PYTHON=python3.11 chooses another" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) comes without venv. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the locked dependencies into .venv ..."
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-files.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.lock
	@echo "Installing what the tests need into .venv ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
