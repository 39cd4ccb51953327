PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

SEEDS ?= 1000
FROM ?= 1
VENUE ?= binancefutures

.PHONY: help demo demo-live demo-cross test coverage test-rest soak soak-real lint format bench clean

help:
	@echo "make demo       generate a market, replay it to a bot over shared memory, show the result"
	@echo "make demo-live  trade live on a local exchange, in good and in bad weather; compare all accounts:"
	@echo "                VENUE=binancefutures, binancecoinm, binancespot or bybit"
	@echo "make demo-cross one bot on three local exchanges, in good and in bad weather, then in a backtest"
	@echo "make test       run the test suite"
	@echo "make coverage   the same with line coverage, in the terminal and in build/coverage"
	@echo "make test-rest  the tests that it leaves out: more cases, more seeds, what takes long"
	@echo "make soak       the chaos soak in virtual time: SEEDS=1000 FROM=1 VENUE=bybit"
	@echo "make soak-real  the chaos soak with processes that are killed: SEEDS=20 VENUE=bybit"
	@echo "make lint       ruff and pyright"
	@echo "make bench      the benchmarks, beside the reference engine"
	@echo "make .venv      only make the environment"

# The environment is made again when pyproject.toml or constraints.txt changes.
.venv: $(VENV)/.made
$(VENV)/.made: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("hftd needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12 " + "$(MAKECMDGOALS)") if sys.version_info < (3, 11) else None'
	@echo "making the environment in $(VENV), once; downloading takes a minute or more"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable . --group dev
	@touch $@

demo: .venv
	@$(BIN)/hftd demo

demo-live: .venv
	@$(BIN)/hftd demo --live --venue $(VENUE)

demo-cross: .venv
	@$(BIN)/hftd demo --cross

test: .venv
	$(BIN)/python -m tests.compiled
	$(BIN)/python -m pytest -m "not slow and not thorough" -n 2 --dist loadfile --hypothesis-profile quick

# Compiled code is not seen by it, and is tested by its results.
coverage: .venv
	$(BIN)/python -m tests.compiled
	$(BIN)/python -m pytest -m "not slow and not thorough" -n 2 --dist loadfile --cov --cov-report=html:build/coverage \
		--cov-report=term:skip-covered

# With the properties of `make test`, but more examples of each. Some tests wait more than they work, so there are three
# processes for two processors; and some watch the clock, so nothing runs beside those.
test-rest: .venv
	$(BIN)/python -m tests.compiled --all
	$(BIN)/python -m pytest -m "(thorough or hypothesis or slow) and not alone" -n 3 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest -m alone

soak: .venv
	$(BIN)/python -m tests.soak --venue $(VENUE) --seeds $(SEEDS) --from $(FROM)

soak-real: .venv
	$(BIN)/python -m tests.soak --level real --venue $(VENUE) --seeds $(SEEDS) --from $(FROM)

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: .venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist
