# edgegw: everything a newcomer or a build machine runs. `make help` lists it.
# Every target makes what it needs first; on Debian 12 Python >= 3.11 and make are enough to begin.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

SEEDS ?= 500
# Twice the cores of a build machine: many tests wait for a charger, a meter or a clock. `worksteal`: who has
# nothing left takes over from who is busy with those.
PYTEST_WORKERS ?= 4
PYTEST_ARGS ?=
# Tests start hundreds of gateways; without compiled modules each would compile itself anew.
unexport PYTHONDONTWRITEBYTECODE

# The stamp carries the hash of what .venv was made from, so that a new lock makes it again.
STAMP := .venv/.ready-$(shell cat requirements-dev.lock pyproject.toml | sha256sum | cut -c 1-16)
NPM_STAMP := tests/interop/node_modules/.package-lock.json
INTEROP := $(if $(wildcard tests/interop/package.json),interop)
# The real servers of tests/servers, and the browser of tests/tui. The wrapper is a library, so no command tells whether it is there.
SERVERS := nginx=nginx vsftpd=vsftpd sshd=openssh-server promtool=prometheus mosquitto=mosquitto \
	mosquitto_pub=mosquitto-clients chromium=chromium chromedriver=chromium-driver $(if $(wildcard /usr/lib/*/libnss_wrapper.so),,=libnss-wrapper)

.PHONY: help setup check test interop demo bench simulate trace schemas pictures lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: $(STAMP) ## .venv with everything edgegw, its checks and its tests need

$(STAMP):
	@sh tests/make_venv.sh $@

check: setup ## format, lint, types, import contracts
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

test: setup $(INTEROP) ## all tests (node, npm, the real file servers and a broker are installed for the counterparts)
	@sh tests/system_packages.sh test $(SERVERS)
	.venv/bin/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal -p no:schemathesis $(PYTEST_ARGS)

interop: $(NPM_STAMP)

$(NPM_STAMP): $(wildcard tests/interop/package.json tests/interop/package-lock.json)
	@sh tests/system_packages.sh test node=nodejs npm=npm
	@echo "make: installing the npm packages of tests/interop"
	@cd tests/interop && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

demo: setup ## a parking site in a box: eight chargers, a cloud that fails and comes back
	@.venv/bin/edgegw demo

bench: setup $(INTEROP) ## the benchmark table of BENCHMARKS.md (takes minutes)
	@sh tests/system_packages.sh bench haproxy=haproxy nginx=nginx mosquitto=mosquitto
	@.venv/bin/python -m tests.benchmarks

simulate: setup ## the seeded fault simulation: make simulate SEEDS=5000
	@.venv/bin/python -m tests.simulation --seeds $(SEEDS)
	@.venv/bin/python -m tests.simulation.fuse --seeds $$(( $(SEEDS) / 5 ))

trace: setup ## docs/trace.svg: what really flowed under the fuse in four minutes
	@.venv/bin/python -m edgegw.sim.trace --plot docs/trace.svg

schemas: setup ## docs/mqtt: the AsyncAPI document and the JSON schemas of the topic tree
	@.venv/bin/python -m edgegw.mqtt.asyncapi docs/mqtt

pictures: setup ## docs/pictures: the console in front of a real gateway with simulated chargers
	@.venv/bin/python -m tests.tui.picture_book docs/pictures

UV_COMPILE = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --extra web pyproject.toml

lock: setup ## newest allowed versions into requirements.lock and requirements-dev.lock
	@.venv/bin/python -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet uv
	@$(UV_COMPILE) --output-file requirements.lock
	@$(UV_COMPILE) --extra dev --output-file requirements-dev.lock
	@rm -rf .venv-lock
	@echo "make: requirements.lock and requirements-dev.lock are new; run make check test"

clean: ## everything that was made here
	rm -rf .venv .venv-lock .venv.lock .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf dist build tests/interop/node_modules
	find edgegw tests -name __pycache__ -type d -prune -exec rm -rf {} +
