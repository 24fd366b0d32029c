# The entry points, the same for people and CI. `make help` lists them.

MODE ?= autonomous
DRAFT ?= 01
IDP ?= dev
ROWS ?= 1000000
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup chromium keycloak node peers demo test test-long lint unit interop single database system lock bench bench-person bench-page pictures clean
# Suites share ports and two cores; the cheap ones come first.
.NOTPARALLEL:

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## .venv/ with everything, from hashed requirements
	@scripts/setup.sh

chromium: ## the system's Chromium, for the browser tests
	@scripts/chromium.sh

keycloak: setup ## .keycloak/ with Keycloak itself, for make demo IDP=keycloak and its tests
	@scripts/keycloak.sh

node: ## the system's Node, for the peer of the interop tests that is written for it
	@scripts/node.sh

peers: setup node ## .peers/ with other implementations, for the interop tests
	@scripts/peers.sh

demo: setup $(filter keycloak,$(IDP)) ## start the whole system: make demo MODE=user-consent DRAFT=11 IDP=keycloak
	@$(BIN)/aauth demo --mode $(MODE) --draft $(DRAFT) --idp $(IDP)

test: lint unit interop single database system ## everything: lint, unit tests, then the real processes

test-long: setup chromium keycloak ## unit tests with many more examples, fuzzing (FUZZ_SECONDS=20 a target), every suite with Keycloak
	@echo "test-long: property tests with the long profile"
	@HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not system and not wire and not browser and not interop and not postgresql"
	@echo "test-long: what people and agents do, on PostgreSQL"
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not browser" --database postgresql $(addprefix tests/person_server/test_,token.py interaction.py auth_token_11.py revocation_cascade.py sessions.py)
	@echo "test-long: coverage-guided fuzzing"
	@scripts/fuzz.sh
	@echo "test-long: the system suites whole, with tokens from Keycloak"
	@scripts/run-tests.sh keycloak

lint: setup ## ruff (rules and format) and mypy
	@echo "lint: ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@echo "lint: mypy"
	@$(BIN)/mypy --no-error-summary src tests

unit: setup ## tests that need nothing but this process
	@echo "unit: tests in process"
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not system and not wire and not browser and not interop and not postgresql"

interop: setup peers ## tests with other people's implementations, each in a process of its own
	@echo "interop: with other implementations"
	@$(BIN)/python -m pytest -q -m interop tests/interop

single: setup chromium ## tests of one real thing: a page in a browser
	@echo "single: the pages in a browser"
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "browser and not system" --ignore tests/person_server/web
	@echo "single: the person server's pages in a browser (async, so in a process of their own)"
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m browser tests/person_server/web

database: setup ## the storage contract on a real PostgreSQL, started for the run (scripts/postgresql.sh)
	@echo "database: the storage contract on PostgreSQL"
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m postgresql

system: setup chromium keycloak ## tests against the running system, one fresh system a mode
	@echo "system: tests against real processes, mode by mode"
	@scripts/run-tests.sh all

lock: ## write requirements/*.txt anew from pyproject.toml
	@scripts/lock.sh

bench: setup peers ## measure signing and verifying beside the raw operation and two peers
	@$(BIN)/python -m bench

bench-person: setup ## measure the person server's pages over a million rows, on SQLite and PostgreSQL: ROWS=1000000
	@$(BIN)/python -m bench.person_server $(ROWS)

bench-page: setup chromium ## measure the protocol view with 200 steps in Chromium: first paint, and frames while it scrolls and grows
	@$(BIN)/python -m bench.page

pictures: setup chromium ## docs/images/ anew: the person server's pages, photographed in the browser
	@$(BIN)/python -m tests.person_server.web.pictures docs/images

clean: ## remove what these targets made (not the demo's state)
	rm -rf .venv .keycloak .peers .fuzz build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
