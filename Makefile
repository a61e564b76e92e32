# Two commands on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# One more than there are cores: tests with Ray wait most of the time, and follow each other in two of them.
PROCESSES ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$(( n < 2 ? 3 : n < 7 ? n + 1 : 8 )))
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadscope --no-loadscope-reorder

.PHONY: demo test slow check recovery fuzz soak load bench lock clean audit
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed ## train what is missing of the demonstration study and print its tables
	$(BIN)/orch submit studies/dfn_ensemble.yaml

test: $(VENV)/.installed-dev ## the default test suite: under ten minutes on two cores
	$(PYTEST)

slow: $(VENV)/.installed-dev ## the tests that it leaves out: clusters of several nodes, jobs, more of everything
	$(PYTEST) -m slow

check: $(VENV)/.installed-dev ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports

recovery: $(VENV)/.installed-dev ## strike every command at every durable step, 500 random kills: an hour or so
	ORCH_SWEEP=all $(BIN)/python -m pytest -m "slow or not slow" tests/recovery

fuzz: $(VENV)/.installed-dev ## 10,000 damaged study files, 2,000 arguments, the page's OpenAPI; ORCH_FUZZ_FROM=N tries others: half an hour
	ORCH_FUZZ=1 $(PYTEST) tests/fuzz tests/threats/test_page_walk.py

soak: $(VENV)/.installed-dev ## studies on Ray while something dies every few seconds; SOAK_S=600 seconds
	$(BIN)/python -m tests.recovery.soak

load: $(VENV)/.installed-dev ## large studies and many processes at once, beside the goals: a quarter of an hour or more
	$(BIN)/python -m benchmarks.load

bench: $(VENV)/.installed-dev ## what orch gains beside its peers, with what was to reach: half an hour on an idle machine
	$(BIN)/python -m benchmarks.suite
audit: $(VENV)/.installed-dev ## known vulnerabilities of what is pinned, as the OSV database has them (needs a network)
	$(BIN)/python -m scripts.audit

lock: $(VENV)/.installed-dev ## renew the pinned, hashed requirements
	$(BIN)/python scripts/lock.py

clean: ## remove the environment and everything the demonstration wrote
	rm -rf $(VENV) .orch

$(VENV)/.installed: requirements.txt pyproject.toml
	@echo "making $(VENV) from the pinned requirements (torch, ray, mlflow: a few minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	touch $@
