# `make demo` runs the default pipeline, `make run` yours, `make check` the fast tests, `make test`
# all of them. Each sets up what it needs.

PYTHON ?= python3
CORES ?= all
VENV := .venv
BIN := $(VENV)/bin
ESLINT := $(VENV)/node/node_modules/.bin/eslint
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

# A line for each stage; snakemake by itself prints a paragraph for each job.
RUN := PYTHONPATH=scripts $(BIN)/snakemake --logger stages --cores $(CORES)

.PHONY: demo run check test lint audit clean

demo: $(VENV)/.run
	@$(RUN)
	@echo
	@cat results/verdict.txt
	@echo "The report: $(CURDIR)/results/report.html"

# make run ARGS="--configfile mine.yaml"
run: $(VENV)/.run
	@$(RUN) $(ARGS)

# For every commit; `make test` is all of it. A thread for each process: as many for each as there
# are cores wait for one another most of the time.
check: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto tests/unit tests/golden

# What needs GPTQ's packages among the others comes in a process of its own, beside the others: what
# it has printed follows theirs.
test: $(VENV)/.test
	$(MAKE) --jobs 2 $(VENV)/.gptq lint
	PYTHONPATH="$(CURDIR)/$(VENV)/gptq" $(BIN)/python -m pytest --durations 30 tests/gptq \
		> $(VENV)/gptq.log 2>&1 & gptq=$$!; \
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder \
		--durations 30 --ignore tests/gptq; status=$$?; \
	wait $$gptq || status=1; cat $(VENV)/gptq.log; exit $$status

lint: $(VENV)/.test $(VENV)/.node
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	@if [ -x $(ESLINT) ]; then \
		NODE_PATH=$(VENV)/node/node_modules $(ESLINT) --config tests/browser/eslint.config.js \
			report/*.js tests/browser/*.js; \
	else echo "There is no npm: the scripts of the report were not checked."; fi
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

# Asks an advisory service about every pinned version, so it is no part of `make test`.
audit: $(VENV)/audit/.done
	$(VENV)/audit/bin/python scripts/audit_packages.py

clean:
	rm -rf results/[!R]* .snakemake

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "deltatune needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt constraints.txt | $(VENV)/bin/python
	@echo "Installing what the pipeline needs into $(VENV); the first time takes some minutes."
	$(PIP) --requirement requirements.txt
	@touch $@

$(VENV)/.test: requirements-test.txt requirements-mistral-common.txt $(VENV)/.run
	$(PIP) --requirement requirements-test.txt
	rm -rf $(VENV)/mistral-common
	$(PIP) --no-deps --target $(VENV)/mistral-common --requirement requirements-mistral-common.txt
	@touch $@

# GPTQ's packages lie beside the others: among them, they slow every import of transformers down.
# Some are built from source; where there is no compiler their tests are skipped.
$(VENV)/.gptq: requirements-gptq.txt constraints.txt $(VENV)/.test
	rm -rf $(VENV)/gptq
	$(PIP) --no-deps --target $(VENV)/gptq --requirement requirements-gptq.txt \
		|| echo "The packages for GPTQ could not be installed; tests/gptq will be skipped."
	@touch $@

# What drives browsers and checks their scripts; where there is no npm neither is done.
$(VENV)/.node: tests/browser/package.json $(VENV)/.test
	rm -rf $(VENV)/node && mkdir $(VENV)/node && cp tests/browser/package.json $(VENV)/node
	npm install --prefix $(VENV)/node --no-package-lock --omit=optional --ignore-scripts \
		--no-audit --no-fund --silent \
		|| echo "The packages for browsers could not be installed; tests/browser will be skipped."
	@touch $@

$(VENV)/audit/.done: requirements-audit.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip --disable-pip-version-check install --quiet --requirement requirements-audit.txt
	@touch $@
