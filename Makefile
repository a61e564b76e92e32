# Two commands on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check recovery soak load lock clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed ## train what is missing of the demonstration study and print its tables
	$(BIN)/orch submit studies/dfn_ensemble.yaml

test: $(VENV)/.installed-dev ## the whole default test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadscope

check: $(VENV)/.installed-dev ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports

recovery: $(VENV)/.installed-dev ## strike every command at every durable step, 500 random kills: an hour or so
	ORCH_SWEEP=all $(BIN)/python -m pytest tests/recovery

soak: $(VENV)/.installed-dev ## studies on Ray while something dies every few seconds; SOAK_S=600 seconds
	$(BIN)/python -m tests.recovery.soak

load: $(VENV)/.installed-dev ## large studies and many processes at once, beside the goals: a quarter of an hour or more
	$(BIN)/python -m benchmarks.load

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
