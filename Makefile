# Every target does its own set-up: it makes .venv from pyproject.toml, once, and again when pyproject.toml changes.
#   make demo    analyse a synthetic section and write an HTML page into demo/
#   make test    run all tests            make lint    ruff and mypy            make clean    remove all that make made
# Another Python: make demo PYTHON=/path/to/python3.12        Some tests only: make test ARGS="-k figures"

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.ssbmaps-runtime
DEVELOPMENT := $(VENV)/.ssbmaps-development

.PHONY: help demo test lint clean FORCE
.DELETE_ON_ERROR:

help:
	@sed -n '2,4s/^# *//p' Makefile

demo: $(RUNTIME)
	$(BIN)/ssbmaps demo --output demo --force
	@echo "The page is $(CURDIR)/demo/index.html; figures, maps and results lie beside it."

test: $(DEVELOPMENT)
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: $(DEVELOPMENT)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last and holds the folder that was installed from: an interrupted installation leaves none, and a stamp
# that was moved here with its folder, or whose Python has gone, does not count.
stale = $(shell test "$$(cat $(1) 2>/dev/null)" = "$(CURDIR)" && $(BIN)/python -c "" 2>/dev/null || echo FORCE)

$(RUNTIME): pyproject.toml $(call stale,$(RUNTIME))
	@$(make_venv)
	@echo "Installing ssbmaps into $(VENV): about 1.2 GB, a minute or two."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@echo "$(CURDIR)" > $@

$(DEVELOPMENT): pyproject.toml $(call stale,$(DEVELOPMENT))
	@$(make_venv)
	@echo "Installing ssbmaps and its development tools into $(VENV): about 1.4 GB, a minute or two."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@echo "$(CURDIR)" > $(RUNTIME)
	@echo "$(CURDIR)" > $@

FORCE:

# Keep a sound environment; replace a missing or half-made one after saying what the machine lacks.
define make_venv
if ! $(BIN)/python -c "import sys, pip; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then \
  if ! command -v "$(PYTHON)" >/dev/null; then \
    echo "There is no $(PYTHON) here. Install Python 3.11 or newer (Debian, Ubuntu: sudo apt install python3 python3-venv)," >&2; \
    echo "or name yours: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; \
  fi; \
  if ! "$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11))"; then \
    echo "$(PYTHON) is $$("$(PYTHON)" --version 2>&1); ssbmaps needs Python 3.11 or newer. Install one" >&2; \
    echo "(Debian, Ubuntu: sudo apt install python3.11 python3.11-venv) and name it: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; \
  fi; \
  if ! "$(PYTHON)" -c "import venv, ensurepip" 2>/dev/null; then \
    echo "$(PYTHON) has no venv module. Install it (Debian, Ubuntu: sudo apt install python3-venv) and run make again." >&2; exit 1; \
  fi; \
  rm -rf $(VENV) && "$(PYTHON)" -m venv $(VENV); \
fi
endef
