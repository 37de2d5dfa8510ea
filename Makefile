# Two commands do all the set-up: `make up` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest
# Two workers, each with servers of its own, take modules in this order: first what computes, on both; then the cluster's
# tests on one and the operator's on the other, which wait most of the time.
TWO := -n 2 --no-loadscope-reorder
IN_ORDER = tests/unit tests/faults tests/integration/api tests/e2e $(filter-out %/api/ %/__pycache__/,$(wildcard tests/integration/*/))
# Of `make dev`.
S3_PORT ?= 8001
MAIL_PORT ?= 8025
# Where `make up` keeps its logs, too.
LOGS := $(or $(BAPSANG_HOME),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bapsang)/logs
LOCAL := PYTHONPATH=manifests/local $(PYTHON) -m bapsang_local

.PHONY: help up down purge cluster smoke seed like-sync tilt browser kubeconfig dev run images test test-tools test-unit test-api test-operator test-faults test-integration test-e2e fuzz faults bench bench-operator bench-fleet bench-photos bench-upgrade mutants lint format lock generate clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  \033[1m%-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## Cluster, images, operator, a sample Community, a smoke run; prints the URL
	@$(LOCAL) up

down: ## Stop and remove everything that `make up` started (caches stay)
	@$(LOCAL) down

purge: ## make down, and remove the caches as well
	@$(LOCAL) purge

cluster: ## Only the local cluster with its add-ons and images
	@$(LOCAL) cluster

images: ## Only the Docker engine with all images and programs, those of tests too, without a cluster
	@$(LOCAL) images

smoke: ## The smoke run again, against the running cluster
	@$(LOCAL) smoke

seed: ## Add a made-up community to the local cluster's (SIZE=small or medium)
	@SIZE=$(or $(SIZE),small) $(LOCAL) seed

like-sync: $(VENV)/ready ## Write the likes of the local cluster's Community to MySQL now
	@KUBECONFIG=$${KUBECONFIG:-$$($(LOCAL) kubeconfig)} $(BIN)/kubectl-bapsang like-sync -n community bapsang

tilt: ## The local cluster, and `tilt up` on it with the programs and the engine of `make up` (ARGS="…")
	@$(LOCAL) tilt $(ARGS)

browser: $(VENV)/ready ## A Chromium for the end-to-end tests, where there is none
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(LOCAL) browser

test-tools: ## The programs that tests run on this machine: etcd, kube, helm, mailpit, versitygw
	@$(LOCAL) test-tools

kubeconfig: ## Print the path of the local cluster's kubeconfig
	@$(LOCAL) kubeconfig

# `helm --wait` and `make up` find it back at its replicas; after a run that was killed, the next one puts them back.
run: $(VENV)/ready ## The operator of this checkout in place of the cluster's (KUBECONFIG, or the local one) until Ctrl-C
	@PYTHONPATH=manifests/local $(BIN)/python -m bapsang_local run

dev: $(VENV)/ready ## The API alone, on SQLite, an embedded Redis, an S3 server and a mailbox of its own, at http://127.0.0.1:8000/docs
	@echo "The API: http://127.0.0.1:8000/docs  (Ctrl-C ends it; data in bapsang.sqlite3, photos in bapsang.objects)"
	@PYTHONPATH="manifests/local$${PYTHONPATH:+:$$PYTHONPATH}" $(BIN)/python -m bapsang_local dev 8000 $(S3_PORT) $(MAIL_PORT)

# The cluster comes up beside linters and the first tests; those of tests/e2e wait for it.
test: ## Linters, then unit, integration (real MySQL, Redis, apiserver) and end-to-end tests
	@$(MAKE) -j3 _up _tests

.PHONY: _up _tests
_up: images
	@mkdir -p "$(LOGS)" && $(LOCAL) up > "$(LOGS)/up.log" 2>&1 || { cat "$(LOGS)/up.log" >&2; exit 1; }

_tests: lint images
	@$(MAKE) browser
	@env -u MAKEFLAGS -u MAKELEVEL $(PYTEST) $(TWO) --junitxml="$(LOGS)/junit.xml" $(IN_ORDER) $(ARGS)

# ARGS goes to pytest in all of these: make test-api ARGS="-k likes"
test-unit: $(VENV)/ready ## Unit tests only: nothing to start
	@$(PYTEST) tests/unit $(ARGS)

test-api: $(VENV)/ready images ## The API against real MySQL, Redis and S3; starts no cluster
	@$(PYTEST) tests/integration/api $(ARGS)

test-operator: $(VENV)/ready images ## The operator against a real apiserver; starts no cluster
	@$(PYTEST) tests/integration/operator tests/integration/chart $(ARGS)

test-faults: $(VENV)/ready images ## The API while everything is killed; starts no cluster
	@$(PYTEST) tests/faults $(ARGS)

test-integration: $(VENV)/ready images ## API and operator against real MySQL, Redis and apiserver; starts no cluster
	@$(PYTEST) $(TWO) tests/integration $(ARGS)

test-e2e: $(VENV)/ready up browser ## The whole platform on the local cluster
	@$(PYTEST) tests/e2e $(ARGS)

# QUICK=1 shows in minutes that everything works; ONLY=mix runs one part; AGAINST=commit compares that commit with
# this checkout in one run, in turn, and saves ratios in the cache; ARGS takes what `python -m tests.load.bench --help` lists.
bench: $(VENV)/ready ## Measure the API on two cores, with real MySQL and Redis; renews docs/benchmarks/api.json (about an hour)
	@PYTHONPATH=manifests/local $(BIN)/python -m tests.load.bench $(if $(QUICK),--quick) $(addprefix --only ,$(ONLY)) $(addprefix --against ,$(AGAINST)) $(ARGS)

# With the packages of the image and no others: kopf loads every Kubernetes client that it finds.
build/bench/ready: operator/requirements.txt
	@$(PYTHON) -m venv build/bench && build/bench/bin/pip install -q --disable-pip-version-check --require-hashes -r operator/requirements.txt
	@touch $@

bench-operator: $(VENV)/ready build/bench/ready ## Measure the operator; renews docs/benchmarks/operator.json (half an hour; ARGS="--idle 60 …" for less; AGAINST=commit compares)
	@PYTHONPATH=operator:manifests/local $(BIN)/python -m tests.load.operator_bench --python build/bench/bin/python $(addprefix --against ,$(AGAINST)) $(ARGS)

bench-fleet: $(VENV)/ready build/bench/ready ## 50 Communities at their peak on 1,000 fake nodes; renews docs/benchmarks/fleet.json (ARGS="--nodes 48 …" for less)
	@PYTHONPATH=operator:manifests/local $(BIN)/python -m tests.load.fleet_bench --python build/bench/bin/python $(ARGS)

bench-photos: $(VENV)/ready ## Weigh photos and the pages that show them; renews docs/benchmarks/photo-weights.json, which the bill is computed from
	@PYTHONPATH=api:manifests/local $(BIN)/python -m tests.load.photo_weights $(ARGS)

# At once, and not after the environments have been made.
ifeq ($(filter bench-upgrade,$(MAKECMDGOALS))$(PREVIOUS),bench-upgrade)
$(error PREVIOUS is not set: give the tag or commit of the version before, such as make bench-upgrade PREVIOUS=v0.0.1)
endif

bench-upgrade: $(VENV)/ready build/bench/ready ## The operator of PREVIOUS=commit, this one, and back, under live pods; renews docs/benchmarks/upgrade.json
	@PYTHONPATH=manifests/local $(BIN)/python -m tests.load.upgrade_bench --python build/bench/bin/python --previous $(PREVIOUS) $(ARGS)

mutants: $(VENV)/ready ## Break the operator's pure core in 120 places, one at a time, and count what the unit tests notice (ARGS=--all: every place)
	@PYTHONPATH=manifests/local $(BIN)/python -m tests.faults.mutants $(ARGS)

faults: $(VENV)/ready up ## Likes while everything is killed: a million toggles, with progress and a report (Ctrl-C ends it early)
	@PYTHONPATH=manifests/local $(BIN)/python -m tests.faults.run

fuzz: $(VENV)/ready ## schemathesis against the real process for minutes: tens of thousands of requests
	@BAPSANG_TEST_FUZZ_EXAMPLES=$${BAPSANG_TEST_FUZZ_EXAMPLES:-400} $(PYTEST) -s --timeout=0 tests/integration/api/test_fuzz.py $(ARGS)

lint: $(VENV)/ready ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check -q . && $(BIN)/ruff format -q --check . && $(BIN)/mypy && PYTHONPATH=manifests/local $(BIN)/lint-imports --no-cache | tail -n 3

format: $(VENV)/ready ## Format the code
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

generate: $(VENV)/ready ## Renew what is computed: CRD, tables and figures in the docs, figures of the EKS sample
	@$(BIN)/bapsang-operator crd > charts/bapsang-operator/crds/communities.bapsang.dev.yaml
	@$(BIN)/python docs/generate.py

# One resolution for all three files, so that tests run with the versions that the images carry.
lock: $(VENV)/ready ## Renew the pinned requirement files
	@compile() { $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url "$$@"; }; \
	compile --upgrade pyproject.toml --extra api --extra operator --extra dev -o tests/requirements.txt; \
	compile pyproject.toml --extra api -c tests/requirements.txt -o api/requirements.txt; \
	compile pyproject.toml --extra operator -c tests/requirements.txt -o operator/requirements.txt

$(VENV)/ready: tests/requirements.txt pyproject.toml
	@PYTHONPATH=manifests/local $(PYTHON) -c 'import bapsang_local'
	@echo "Installing the development environment into $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --no-compile --disable-pip-version-check --require-hashes -r tests/requirements.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean: ## Remove the development environment and tool caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
