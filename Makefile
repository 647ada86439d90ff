# Set up, run and check mddit_ui. Needs Python >= 3.11 (with venv) and make; all the rest goes into .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PORT   ?= 7860
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help setup app test lint types fix bench requirements clean

help: ## show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv and install the project with its development tools

# Once, and again whenever a version changes. requirements.txt holds the versions that the tests were run with.
# uv is much faster than pip; pip does the same where uv is not to be had. Compiled at once, because every test that
# starts a process imports torch anew, and where PYTHONDONTWRITEBYTECODE is set no import keeps what it compiled.
$(STAMP): pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet uv || true
	@echo "Installing into $(VENV); the first time takes a few minutes."
	@if $(BIN)/python -m uv --version >/dev/null 2>&1; \
	  then $(BIN)/python -m uv pip install --compile-bytecode --python $(BIN)/python -c requirements.txt -e '.[dev]'; \
	  else $(BIN)/python -m pip install -c requirements.txt -e '.[dev]'; fi
	@touch $@

app: $(STAMP) ## start the app on http://127.0.0.1:7860 (another port: PORT=7861)
	@echo "Starting the app on http://127.0.0.1:$(PORT) (Ctrl-C stops it)"
	@GRADIO_SERVER_PORT=$(PORT) $(BIN)/python app.py $(ARGS)

test: $(STAMP) ## run the tests (one of them: ARGS=tests/core)
	@$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP) ## check style and format
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .

# gradio writes stubs beside its components; mypy is to read the components.
types: $(STAMP) ## check types
	@rm -f mddit_ui/ui/*.pyi
	@$(BIN)/python -m mypy

fix: $(STAMP) ## repair style and format where a tool can
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

bench: $(STAMP) ## list the benchmarks, or run one: ARGS=engine
	@$(BIN)/python -m mddit_ui bench $(ARGS)

requirements: $(STAMP) ## write requirements.txt: the direct dependencies, pinned to what is installed
	@$(BIN)/python .ci/requirements.py > requirements.txt.new && mv requirements.txt.new requirements.txt

clean: ## remove the environment and the caches (not data/)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
