# Two commands need nothing but Python 3.11+ and make:  make demo  and  make test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PAGE := src/layerscope/show/page
TYPESCRIPT := 5.9.3
TSC := $(VENV)/page/node_modules/.bin/tsc

# An environment of its own, so that the one above stays without the extra and shows that it may.
WITH_TORCH := .venv-torch
TORCH := torch==2.13.0

.PHONY: demo test test-torch lint lint-page format bench clean pictures
.DEFAULT_GOAL := demo

$(VENV)/installed: pyproject.toml
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "layerscope needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --editable .
	@touch $@

$(VENV)/developer: $(VENV)/installed
	@echo "adding what developers need"
	@$(PIP) --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed  ## classify an image with the demo net and draw every layer into demo-out/
	@$(BIN)/layerscope demo -o demo-out

test: $(VENV)/developer  ## every test
	@$(BIN)/python -m pytest -q

$(WITH_TORCH)/installed: pyproject.toml
	@echo "setting up $(WITH_TORCH) (once, some minutes)"
	@$(PYTHON) -m venv $(WITH_TORCH)
	@$(WITH_TORCH)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,torch]' $(TORCH)
	@touch $@

test-torch: $(WITH_TORCH)/installed  ## the tests that need PyTorch
	@$(WITH_TORCH)/bin/python -m pytest -q -m torch tests/readers/pytorch tests/engine/gradient

lint: $(VENV)/developer  ## format, lint, types of Python and of the page's modules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory lint-page; \
	elif [ "$$CI" = true ]; then echo "lint: npm is not installed" >&2; exit 1; \
	else echo "lint: npm is not installed: the types of the page's modules are NOT checked"; fi

lint-page: $(TSC)
	@$(TSC) --project $(PAGE)
	@$(TSC) --project src/layerscope/viewer

$(TSC): Makefile
	@npm install --no-save --no-audit --no-fund --silent --prefix $(VENV)/page typescript@$(TYPESCRIPT)
	@touch $@

format: $(VENV)/developer  ## put the code into the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/developer  ## ratios and times, measured on this machine
	@$(BIN)/python -m benchmarks

pictures: $(VENV)/developer  ## the pictures of README and docs, made again
	@$(BIN)/python tools/make_pictures.py

clean:
	rm -rf $(VENV) $(WITH_TORCH) demo-out dist .mypy_cache .pytest_cache .ruff_cache
