# The one entry to every task; `make` alone lists them. ARGS is handed on: make test ARGS="-k ledger -x"
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

RUNTIME := .venv/.runtime-stamp
DEV := .venv/.dev-stamp
MEMBERS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)
export PYTHON

.PHONY: help demo up migrate test faults bench claims backlog lint format lock compose

help: ## list these tasks
	@echo 'make TASK [ARGS="..."]'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(RUNTIME) ## start everything with a sandbox world to watch it work (ARGS="--once": one run and its proof)
	@exec .venv/bin/backstop demo $(ARGS)

up: $(RUNTIME) ## start everything in one process with your own configuration
	@exec .venv/bin/backstop up $(ARGS)

migrate: $(RUNTIME) ## bring the database of DATABASE_URL to the newest schema
	@exec .venv/bin/backstop migrate $(ARGS)

test: $(DEV) ## run all tests on a PostgreSQL and a RabbitMQ of their own (ARGS go to pytest; "-n 0": in one process)
	@scripts/test-needs
	@exec .venv/bin/pytest -n 2 --dist worksteal $(ARGS)

faults: $(DEV) ## run the long suite of kills and outages
	@scripts/test-needs
	@exec .venv/bin/pytest tests/faults --faults-full $(ARGS)

bench: $(DEV) ## measure throughput
	@scripts/test-needs
	@exec .venv/bin/python benchmarks/run.py $(ARGS)

claims: $(DEV) ## measure whether claims grow over 200,000 tasks that stay open
	@exec .venv/bin/python benchmarks/claims.py $(ARGS)

backlog: $(DEV) ## import 100,000 tasks on the embedded default and recover them in one run
	@exec .venv/bin/python benchmarks/backlog.py $(ARGS)

lint: $(DEV) ## run every check of code, packaging and manifests
	@exec scripts/lint

format: $(DEV) ## format the code and mend what can be mended automatically
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format .

lock: $(DEV) ## renew requirements*.lock after a change of dependencies (ARGS="--upgrade": newest versions)
	@scripts/lock $(ARGS)

compose: ## start the docker compose set-up, making .env with fresh secrets first (DEMO=1: with the sandbox)
	@DEMO="$(DEMO)" exec scripts/compose $(ARGS)

$(RUNTIME): requirements.lock $(MEMBERS)
	@scripts/venv runtime

$(DEV): requirements-dev.lock $(RUNTIME)
	@scripts/venv dev
