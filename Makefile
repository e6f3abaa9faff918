# make run · test · check · bench. Each sets up what it needs: a virtual environment here, Chromium from Debian.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-in-browsers test-engines test-on-a-cluster test-servers test-the-rest check bench browser

run: $(VENV)/.run
	$(BIN)/python app.py $(ARGS)

# Tests wait a lot, browsers and clusters most of all, so three processes share two cores, and those that wait come first.
# With ARGS, one process does as it is told.
test: $(VENV)/.dev browser
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	@$(MAKE) --no-print-directory --jobs 3 --keep-going --output-sync=target \
	  test-on-a-cluster test-in-browsers test-engines check test-servers test-the-rest
endif

test-in-browsers:
	$(BIN)/python -m pytest tests/browser

# Side by side, processes whose every operation wants all cores get in each other's way.
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1

test-engines:
	$(ONE_THREAD) $(BIN)/python -m pytest tests/engines

test-on-a-cluster:
	$(ONE_THREAD) $(BIN)/python -m pytest tests/cluster

# Two processes, so that both cores have something to do to the end.
SERVERS := $(addprefix tests/studio/,test_api.py test_app.py test_languages.py test_space.py test_spread.py test_streaming.py)

test-servers:
	$(ONE_THREAD) $(BIN)/python -m pytest $(SERVERS)

test-the-rest:
	$(ONE_THREAD) $(BIN)/python -m pytest $(addprefix --ignore ,tests/browser tests/engines tests/cluster $(SERVERS))

check: $(VENV)/.dev
	@# Gradio writes a stub beside every subclass of a component when it is imported; it is not ours to check.
	@rm -f studio/*.pyi
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.bench
	$(BIN)/python -m tests.benchmarks $(ARGS)

# The page is tested in a real browser; it and its driver come from Debian's packages.
browser:
	@command -v chromedriver >/dev/null && command -v chromium >/dev/null || { \
	  echo "Installing Chromium and its driver"; \
	  SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq --no-install-recommends chromium chromium-driver; }

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Reverie needs Python 3.11 or newer")'
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
