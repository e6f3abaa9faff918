# make run · test · check · bench · platforms · space. Each sets up what it needs: a virtual environment here, Chromium from Debian.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test tests check bench browser

run: $(VENV)/.run
	$(BIN)/python app.py $(ARGS)

# The linters run beside the tests. With ARGS, one process runs the tests that they name.
test: $(VENV)/.dev browser
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	@$(MAKE) --no-print-directory --jobs 2 --keep-going tests check
endif

# Tests wait a lot, those in browsers and on clusters most of all: one process more than there are cores. Side by side,
# processes whose every operation wants all cores get in each other's way.
PROCESSES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1
# They begin many processes, each of which would otherwise compile the sources anew.
COMPILED := PYTHONDONTWRITEBYTECODE=

tests:
	$(ONE_THREAD) $(COMPILED) $(BIN)/python -m pytest -n $(PROCESSES) --dist loadscope --no-loadscope-reorder --durations 20

check: $(VENV)/.dev
	@# Gradio writes a stub beside every subclass of a component when it is imported; it is not ours to check.
	@find studio -name '*.pyi' -delete
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.bench
	$(BIN)/python -m tests.benchmarks $(ARGS)

# The page is tested in a real browser; it and its driver come from Debian's packages. Elsewhere Selenium finds or fetches
# them, if Chrome is installed where its installer puts it.
browser:
	@command -v chromedriver >/dev/null && command -v chromium >/dev/null || ! command -v apt-get >/dev/null || { \
	  echo "Installing Chromium and its driver"; \
	  SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq --no-install-recommends chromium chromium-driver; }

$(BIN)/python:
	@$(PYTHON) engines/core/python_version.py
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.bench: requirements-bench.txt | $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	touch $@

$(VENV)/.dev: requirements.txt requirements-mcp.txt requirements-heic.txt requirements-cluster.txt requirements-dev.txt requirements-axe.txt | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-axe.txt
	touch $@ $(VENV)/.run

# Whether all that is required is published for each system and version of Python.
platforms: $(VENV)/.dev
	$(BIN)/python -m tests.platforms

# Put the studio on Hugging Face: make space SPACE=user/name, with DRY=1 only to list what would be sent.
space: $(VENV)/.run
	@$(BIN)/python -m studio.server.space $(if $(DRY),--dry-run) $(SPACE)

.PHONY: platforms space
