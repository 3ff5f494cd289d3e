# `make` lists what there is. Everything runs in .venv, which is made and kept up to date as needed.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# Where it is set, every process would compile every module that it imports: a dozen seconds each.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The first Python that is new enough; `make PYTHON=/path/to/python3.12` takes another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$python" && break; done)

# PyTorch's own index has the CPU build, which pip prefers where there is one; PyPI's build for Linux
# brings gigabytes of CUDA. For a GPU, once, with a build that https://pytorch.org names:
# make install TORCH='torch==2.13.0+cu130 --index-url https://download.pytorch.org/whl/cu130'
TORCH ?= torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu

# Of the web UI: `make ui PORT=3001` where 3000 is taken.
PORT ?= 3000

# What the backtest engine is set beside, with what they need and we do not have. backtesting is AGPL,
# backtrader and cvxportfolio GPL: so they are in no list of dependencies, and in a folder of their
# own that only the benchmarks look into.
RIVALS := backtesting==0.6.6 backtrader==1.9.78.123 bokeh==3.9.2 tornado==6.6.1 xyzservices==2026.9.1 \
	cvxportfolio==1.5.1 osqp==1.1.3
RIVALS_STAMP := $(VENV)/rivals/.installed

# Not among what `make bench` runs: they take long, or measure no time.
ASKED_FOR := learning engine_speed evidence transfer volatility_sizing false_positives refit_agreement \
	verdict_power whole_chain

PIP := $(BIN)/python -m pip --disable-pip-version-check
LOCKED := $(PIP) install --quiet --no-compile --no-deps
UV := $(BIN)/python -m uv pip install --quiet --python $(BIN)/python
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help demo ui install kernels test test-slow test-all check style types imports definitions site bench bench-engine learning transfer false-positives kill-test kill-test-short week soak lock audit wheel docs docs-serve pictures clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s  %s\n", $$1, $$2}' Makefile

demo: $(STAMP) ## run everything on real and on made-up bars, down to the reports
	@$(BIN)/trading-pipeline demo

ui: $(STAMP) ## open Dagster's web UI on http://127.0.0.1:3000, with its daemon; PORT=... moves it
	@$(BIN)/trading-pipeline ui --port $(PORT)

install: $(STAMP) ## make .venv from the locked versions; TORCH='...' chooses PyTorch's build

# Else each worker of the tests compiles them for itself.
kernels: $(STAMP) ## compile the kernels, for which the first command would wait a minute
	@echo "Compiling kernels; the first time this takes a minute."
	@$(BIN)/python -m trading_pipeline.core.kernels

test: $(STAMP) kernels ## fast tests
	@$(PYTEST) -m 'not slow'

test-slow: $(STAMP) kernels ## slow tests, and of those with many cases some
	@$(PYTEST) -m slow

test-all: $(STAMP) kernels ## all tests with all their cases; about an hour
	@$(PYTEST) --all

check: style types imports test definitions site ## format, lint, types, import contracts, fast tests, Dagster definitions, documentation

style: $(STAMP) ## its parts: format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP) ## ... types
	$(BIN)/mypy

imports: $(STAMP) ## ... which module may import which
	$(BIN)/lint-imports

definitions: $(STAMP) ## ... what Dagster makes of the definitions
	$(BIN)/dagster definitions validate --workspace workspace.yaml

site: $(STAMP) ## ... the documentation as a site, whose links lead somewhere
	$(BIN)/zensical build --strict --clean

bench: $(STAMP) ## time what has to be fast
	@set -e; for script in $(filter-out $(ASKED_FOR:%=benchmarks/%.py),$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python "$$script"; done

bench-engine: $(STAMP) $(RIVALS_STAMP) ## time the backtest engine beside vectorbt, backtesting.py, backtrader
	@$(BIN)/python benchmarks/engine_speed.py

learning: $(STAMP) ## what the network learns on planted markets, beside its rivals; four hours, goes on where it was
	@$(BIN)/python benchmarks/learning.py --results $(VENV)/learning.jsonl --figure docs/images/learning.png

transfer: $(STAMP) $(RIVALS_STAMP) ## ask what scores of known worth become in a book; ten minutes
	@$(BIN)/python benchmarks/transfer.py

false-positives: $(STAMP) ## count how often 'proven' is false, and how often a skill is found; 80 minutes, goes on where it was
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/false_positives.py --results $(VENV)/false_positives --figure docs/images/power.png

kill-test: $(STAMP) ## kill a paper session at every named point, ten times each
	@OMP_NUM_THREADS=1 $(BIN)/python -m trading_pipeline_tests.steps.kills --seeds 10

kill-test-short: $(STAMP) ## the same, once each; also among the slow tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m trading_pipeline_tests.steps.kills --seeds 1

week: $(STAMP) ## twenty nights by a real daemon in fast motion, after which all books agree
	@OMP_NUM_THREADS=1 $(BIN)/python -m trading_pipeline_tests.week.nights

soak: $(STAMP) ## a year of hourly bars through a paper session, with its CPU and memory; DATA=FILE.parquet BARS=8760
	@OMP_NUM_THREADS=1 $(BIN)/python -m trading_pipeline_tests.steps.soak --bars $(or $(BARS),8760) $(if $(DATA),--data $(DATA))

lock: $(STAMP) ## write constraints.txt anew from what .venv holds
	@grep '^#' constraints.txt > $(VENV)/constraints.txt
	@$(PIP) freeze --exclude-editable | sed 's/^\(torch==[^+]*\)+.*/\1/' >> $(VENV)/constraints.txt
	@mv $(VENV)/constraints.txt constraints.txt && touch $(STAMP)

audit: $(STAMP) ## ask PyPI for known vulnerabilities of the locked versions
	@test -x $(VENV)/audit/bin/pip-audit || { "$(PYTHON)" -m venv --clear $(VENV)/audit \
	&& $(VENV)/audit/bin/pip install --quiet pip-audit; }
	@$(VENV)/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

wheel: $(STAMP) ## build the wheel of the last commit into dist/; the same file each time
	@rm -rf $(VENV)/export && mkdir $(VENV)/export
	@umask 022 && git archive HEAD | tar -x --no-same-permissions -C $(VENV)/export
	@SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)" $(PIP) wheel --quiet --no-deps --wheel-dir dist $(VENV)/export
	@ls dist/*.whl

docs: $(STAMP) ## write the pages and pictures made from the code anew, and build the site into site/
	@$(BIN)/python -m trading_pipeline_tests.licences > docs/licences.md.draft
	@mv docs/licences.md.draft docs/licences.md
	@$(BIN)/trading-pipeline features --markdown > docs/features.md.draft
	@mv docs/features.md.draft docs/features.md
	@$(BIN)/python tools/reference
	@$(BIN)/python benchmarks/path.py
	@$(BIN)/zensical build --strict --clean

docs-serve: $(STAMP) ## show the site while its pages are edited, on http://127.0.0.1:8000; DOCS=127.0.0.1:8001 moves it
	@$(BIN)/zensical serve --dev-addr $(or $(DOCS),127.0.0.1:8000)

pictures: $(STAMP) ## take the pictures of report and web UI in docs/images anew, after a demo; needs chromium
	@$(BIN)/python -m trading_pipeline_tests.pictures

clean: ## remove .venv and caches; data and reports stay
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find trading_pipeline trading_pipeline_tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# The stamp goes before anything is changed and comes back when all of it worked: an installation
# that was killed is done again. Asking for a build of torch by name asks for an installation.
# The lock is installed as it is, for to resolve it costs most of the time, and by uv, which takes a
# fifth of pip's; all of it anew, for uv takes half a package, which a kill leaves, for a whole one.
# Where uv finds no index (it reads none of pip's settings), or was itself killed, pip does it. What
# the lock lacks on another platform or Python the last step adds. Python compiles what is imported,
# a part of it all.
$(STAMP): pyproject.toml constraints.txt $(if $(filter file,$(origin TORCH)),,always)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found; \
	install one, or say where it is: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "$(PYTHON) is $$("$(PYTHON)" --version 2>&1); Python 3.11 or newer is needed" >&2; exit 1; }
	@rm -f $(STAMP)
	@$(PIP) --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	@echo "Installing into $(VENV); the first time this takes some minutes."
	@grep -Ev '^(#|torch==)' constraints.txt > $(VENV)/locked.txt
	@$(LOCKED) --constraint constraints.txt uv
	@$(UV) --reinstall --no-deps --requirement $(VENV)/locked.txt || $(LOCKED) --ignore-installed --requirement $(VENV)/locked.txt
	@$(LOCKED) --constraint constraints.txt $(TORCH)
	@$(UV) --constraint constraints.txt --editable '.[dev]' \
	|| $(PIP) install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

$(RIVALS_STAMP): Makefile | $(STAMP)
	@rm -rf $(VENV)/rivals
	@$(PIP) install --quiet --no-deps --target $(VENV)/rivals $(RIVALS)
	@touch $@

.PHONY: always
always:
