# The arena's commands. They need GNU make and Python 3.11 or newer, nothing else.
#
#   make run        a running arena on http://127.0.0.1:8000/
#   make test       the test suite
#   make check      formatting, lint, types, layers, templates, migrations, deployment checks
#   make fix        format and repair what can be repaired by itself
#   make bench      benchmarks
#   make test-data DATA=DIR   the checks over recorded market data in DIR
#   make oracles    test vectors from other tools, in an environment of their own
#   make screenshots          pictures of a running arena into docs/screenshots

.DEFAULT_GOAL := help
SHELL := /bin/sh
APPS := arena_site competitions agents trading marketdata
VENV := .venv
BIN := $(VENV)/bin
ORACLES := .venv-oracles
# Named to override: make run PYTHON=/opt/python3.12/bin/python3
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	{ echo $$p; break; }; done)
ARGS ?=
# As a deployment has it; the keys sign and open nothing.
PRODUCTION := DEBUG=0 ARENA_HTTPS=1 ALLOWED_HOSTS=arena.example.org DATABASE_URL= REDIS_URL= \
	SECRET_KEY=only-for-the-check-EEtBm3Xw9v7nQhKc5RzTgYp2LsDj8UfA4iGo6qVb \
	ARENA_ENCRYPTION_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

.PHONY: help run test check fix bench test-data oracles screenshots clean

help:
	@sed -n '3,10s/^# \{0,1\}//p' Makefile

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "The arena needs Python 3.11 or newer; found: $$(python3 --version 2>&1 || echo none)." >&2; \
		echo "Install it, or name it: make run PYTHON=/path/to/python3" >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)

# Stamps say which requirements are installed; they are renewed only when pip succeeded.
$(VENV)/.runtime: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.runtime

run: $(VENV)/.runtime
	@$(BIN)/python scripts/setup_env.py
	@exec $(BIN)/python manage.py arena $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(APPS)
	$(BIN)/lint-imports
	git ls-files -z -- 'templates/*.html' | xargs -0 -r $(BIN)/djade --target-version 5.2 --check
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files -z -- 'templates/*.html' | xargs -0 -r $(BIN)/djade --target-version 5.2

bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

test-data: $(VENV)/.dev
	@if [ ! -d "$(DATA)" ]; then \
		echo "DATA must name a directory with recorded data, was '$(DATA)': make test-data DATA=DIR" >&2; exit 1; fi
	ARENA_TEST_DATA="$(abspath $(DATA))" $(BIN)/python -m pytest tests/real_data -m real_data $(ARGS)

# The tools want other versions than the arena, and are under other licences: they stay out of its environment.
$(ORACLES)/.installed: tests/oracles/requirements.txt
	$(PYTHON) -m venv $(ORACLES)
	$(ORACLES)/bin/python -m pip install --quiet --disable-pip-version-check --prefer-binary -r tests/oracles/requirements.txt
	@touch $@

oracles: $(ORACLES)/.installed
	@for tool in nautilus vectorbt freqtrade ccxt; do \
		echo "tests.oracles.from_$$tool"; \
		$(ORACLES)/bin/python -m tests.oracles.from_$$tool || exit 1; done

screenshots: $(VENV)/.dev
	$(BIN)/python scripts/screenshots.py $(ARGS)

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache htmlcov .coverage
	find . -name __pycache__ -not -path './.venv*/*' -prune -exec rm -rf {} +
