.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

install: .venv/.installed ## Make .venv with the locked dependencies and the placelibre command

.venv/.installed: requirements.lock pyproject.toml
	@echo "Installing the locked dependencies into .venv (about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

up: install ## Run everything with a simulated library day; the page is on http://127.0.0.1:8000
	@$(BIN)/placelibre up $(ARGS)

test: install ## Run the test suite (real bus, real processes)
	@$(BIN)/python -m pytest -n 4 --dist worksteal tests $(ARGS)

test-slow: install ## Run the tests that take their time: recorded weeks, killed processes, whole days
	@SLOW_TESTS=1 BROWSER_TESTS=1 $(BIN)/python -m pytest -n 3 --dist worksteal -m slow tests $(ARGS)

test-devices: install ## Fuzz the formats of devices: ten thousand bodies each, a thousand of them over HTTP into the real bus
	@SLOW_TESTS=1 FUZZED_BODIES=10000 SEQUENCE_SEEDS=20 $(BIN)/python -m pytest -n 2 --dist worksteal --timeout 900 tests/devices $(ARGS)

servers: install ## Install real servers for the tests of channels into .servers (some minutes the first time)
	@$(BIN)/python -m tests.servers.install

test-channels: servers ## Run the tests of channels against real servers, and a hundred fault sequences per channel
	@REAL_SERVERS=1 SLOW_TESTS=1 FAULT_SEQUENCES=100 $(BIN)/python -m pytest -n 2 --dist worksteal tests/adapters $(ARGS)

browser: install ## Run the page tests in Chromium, installing Debian's package first where it is missing
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; }
	@BROWSER_TESTS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m browser tests $(ARGS)

lighthouse: install ## Measure the pages with Lighthouse as on a slow phone (needs Node 18 or newer, Chromium)
	@test -d tests/lighthouse/node_modules || (cd tests/lighthouse && npm ci --no-audit --no-fund)
	@$(BIN)/python -m tests.lighthouse $(ARGS)

faults: install ## Break everything that can break, for real, and print what held (about half an hour; some parts need root)
	@$(BIN)/python -m tests.faults $(ARGS)

mutations: install ## Break each guarantee on purpose: every one must turn the fault suite red
	@$(BIN)/python -m tests.faults.mutations $(ARGS)

tools: .tools/.installed ## Install the tools that look over deployment and dependencies into .tools

.tools/.installed: tools.lock
	@test -x .tools/bin/python || $(PYTHON) -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tools.lock
	@touch $@

deploy-check: install tools ## Look over the Dockerfile, Compose, Kubernetes, systemd and Prometheus files with their own tools
	@DEPLOY_TOOLS=1 $(BIN)/python -m pytest -m tools tests $(ARGS)

containers: install ## Build the image and run Compose and the pods under podman (Debian's packages; needs root)
	@CONTAINER_TESTS=1 $(BIN)/python -m pytest -m containers --timeout 1800 tests $(ARGS)

check: install ## What CI runs: format, lint, types, import contracts, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory browser
	@$(MAKE) --no-print-directory test-slow

simulate: install ## Print one simulated day with its ground truth, without a bus
	@$(BIN)/placelibre simulate $(ARGS)

bench: install ## Measure on this machine; figures beside a reference from the same run
	@$(BIN)/placelibre bench $(ARGS)

accuracy: install ## Measure how right the estimates are, on seeds that nobody tunes on (50 of each scenario, six minutes on two cores)
	@$(BIN)/placelibre accuracy --seeds 50 --seed-from 5000 $(ARGS)

fix: install ## Format and mend what can be mended by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: install ## Write the generated references again (schemas, OpenAPI, metrics, settings, commands)
	@$(BIN)/python -m cli.reference

sbom: tools ## Write build/sbom.cdx.json: what a running Placelibre is made of, in CycloneDX, checked against its schema
	@mkdir -p build
	@.tools/bin/cyclonedx-py requirements --pyproject pyproject.toml --spec-version 1.6 --output-format JSON --output-reproducible --short-PURLs --validate --output-file build/sbom.cdx.json requirements-runtime.lock
	@echo build/sbom.cdx.json

audit-dependencies: tools ## Ask the advisory service about every locked version; a version that it does not know is an error
	@.tools/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements-runtime.lock --requirement requirements-build.lock $(ARGS)

lock: install ## Lock the dependencies anew, with hashes and without addresses
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra tracing --group dev pyproject.toml --output-file requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group pyproject.toml:tools --output-file tools.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra tracing --constraint requirements.lock pyproject.toml --output-file requirements-runtime.lock
	@printf 'hatchling\nsetuptools\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --constraint requirements.lock - --output-file requirements-build.lock

.PHONY: help install up test test-slow test-devices servers test-channels browser lighthouse faults mutations tools deploy-check containers check simulate bench accuracy fix docs sbom audit-dependencies lock
