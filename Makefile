# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

export PATH := $(CURDIR)/.venv/bin:$(PATH)

VENV := .venv/.ready
# Without it, the formatters mend what they find instead of telling it.
CHECKING := env CI=true

.PHONY: help test demo fidelity bench pictures bench-smoke lint format units faults fuzz schemas sample docs lab-up lab-down lab-status clean

help: ## Show this help.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand --tabs=13

test: $(VENV) ## Run the checks, on the lab too.
	@$(CHECKING) python tests/run_checks.py

demo: $(VENV) ## Show the whole job on the lab.
	tests/demo/run

fidelity: $(VENV) ## Compare verdicts with real migrations on the lab.
	python tests/fidelity

bench: $(VENV) ## Measure patterns, pairs in big fleets, reports, and the modules on a lab host.
	python tests/bench
	nox --session browser -- bench

pictures: $(VENV) ## Make the pictures of the report in docs/pictures.
	nox --session browser -- pictures

bench-smoke: $(VENV) ## Check that the benchmarks of big fleets run and are right.
	nox --session bench-smoke

lint: $(VENV) ## Check format, style, types, English and the layers of imports.
	$(CHECKING) nox --session lint ansible-lint imports prose

format: $(VENV) ## Format the Python code.
	nox --session formatters

units: $(VENV) ## Run the unit tests.
	nox --session units

faults: $(VENV) ## Kill modules and playbooks at every step and task, on the lab too, some hours.
	VFIO_MIGRATION_KILL_AT_EVERY_TASK=1 nox --session molecule -- killed interrupted interrupted_migration maintain
	VFIO_MIGRATION_KILL_AT_EVERY_TASK=1 nox --session "playbooks(newest)" -- -k killed

fuzz: $(VENV) ## Run the property tests and fuzzers for long, some hours.
	nox --session fuzz

schemas: $(VENV) ## Make the JSON Schemas in docs/schemas from plugins/plugin_utils/contract.py.
	PYTHONPATH=.collections python -m ansible_collections.vfio.migration.tests.json_schemas

sample: $(VENV) ## Make the sample fleet in playbooks/files/sample from tests/sample_fleet.py.
	PYTHONPATH=.collections python -m ansible_collections.vfio.migration.tests.sample_fleet

docs: $(VENV) ## Build the documentation as HTML in docs/build/build/html.
	nox --session docs

lab-up: ## Start the lab.
	python3 tests/lab/lab.py up

lab-down: ## Stop the lab.
	python3 tests/lab/lab.py down

lab-status: ## Show the lab's hosts.
	python3 tests/lab/lab.py status

clean: lab-down ## Stop the lab and remove what was built here.
	rm -rf .ansible .hypothesis .lab .mypy_cache .nox .pytest_cache .ruff_cache .venv docs/build tests/output
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV): .ci/requirements.txt .ci/system-packages
	.ci/system-packages
	python3 -m venv .venv
	python -m pip install --quiet --requirement .ci/requirements.txt
	@touch $@
