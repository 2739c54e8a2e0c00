# The commands a newcomer needs. `make demo` and `make test` set up what they use.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN = $(VENV)/bin
DEMO = .demo
SERVE ?= 1
PORT ?= 8000
# TRAIN=0 leaves torch out, and with it the tests that hold the ONNX file against PyTorch.
TRAIN ?= 1
PARALLEL = -n auto --dist loadfile
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-fast test-slow coverage check docs docs-serve pictures bench bench-slow serve browser axe clean

demo: $(VENV)/.market  ## import the demo catalogue, identify two unseen photos, open a shop, serve the pages
	@$(BIN)/satchel init $(DEMO)
	@$(BIN)/satchel --workspace $(DEMO) import examples/maison/catalogue.csv
	@$(BIN)/satchel --workspace $(DEMO) index
	@$(BIN)/satchel --workspace $(DEMO) identify \
		examples/maison/queries/IMG_2041.jpg examples/maison/queries/IMG_7713.jpg
	@$(BIN)/python examples/demo_market.py $(DEMO)
ifneq ($(SERVE),0)
	@$(BIN)/satchel --workspace $(DEMO) serve --port $(PORT)
endif

test: $(VENV)/.dev browser axe  ## every test but the slow ones, on all cores
	$(BIN)/pytest -m "not slow" $(PARALLEL)

FAST = not slow and not flow and not train and not browser and not shared

test-fast: $(VENV)/.dev  ## while developing: without whole flows, torch, browser and shared data
	$(BIN)/pytest --without-torch -m "$(FAST)" $(PARALLEL)

coverage: $(VENV)/.dev browser axe  ## lines of src that the tests run; fails below 95 %
	$(BIN)/pytest -m "not slow" $(PARALLEL) --cov --cov-report=term --cov-fail-under=95

test-slow: $(VENV)/.dev browser  ## the slow tests: 100,000 rows in bounded memory
	$(BIN)/pytest -m slow --timeout 3600

check: $(VENV)/.dev  ## lint, format, types, import contract, private words
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/check_words.py

docs: $(VENV)/.docs  ## the documentation site, into site/; warnings are errors
	$(BIN)/python scripts/docs_reference.py
	$(BIN)/zensical build --clean --strict

pictures: $(VENV)/.dev browser  ## the pictures of pages that the guide shows, taken anew
	$(BIN)/python scripts/docs_pictures.py

docs-serve: $(VENV)/.docs  ## the documentation site at http://127.0.0.1:8000, built anew on every change
	$(BIN)/python scripts/docs_reference.py
	$(BIN)/zensical serve

bench: $(VENV)/.dev  ## speed and accuracy on the shared data, as tables and JSON
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.accuracy test
	$(BIN)/python -m benchmarks.locating test
	$(BIN)/python -m benchmarks.detectors
	$(BIN)/python -m benchmarks.hostile
	$(BIN)/python -m benchmarks.floods
	$(BIN)/python -m benchmarks.steady
	$(BIN)/python -m benchmarks.decoding

bench-slow: $(VENV)/.dev  ## curation, confidence, training and adapting too: some hours
	$(BIN)/python -m benchmarks.duplicates test
	$(BIN)/python -m benchmarks.duplicates speed
	$(BIN)/python -m benchmarks.garbage test
	$(BIN)/python -m benchmarks.collages test
	$(BIN)/python -m benchmarks.kept_copy test
	$(BIN)/python -m benchmarks.curate_trial
	$(BIN)/python -m benchmarks.confidence test
	$(BIN)/python -m benchmarks.lookalikes test
	$(BIN)/python -m benchmarks.losses .bench/losses
	$(BIN)/python -m benchmarks.kills
	$(BIN)/python -m benchmarks.training_speed
	$(BIN)/python -m benchmarks.grocery_classifier .bench/classifier
	$(BIN)/python -m benchmarks.experiment .bench/experiment
	$(BIN)/python -m benchmarks.metrics_at_a_million
	for gallery in grocery luma dreambooth; do \
		$(BIN)/python -m benchmarks.adapt --gallery $$gallery --test || exit 1; done
	$(BIN)/python -m benchmarks.pairs test .bench/pairs

serve: $(VENV)/.base  ## serve the workspace in $$SATCHEL_WORKSPACE or the current directory
	$(BIN)/satchel serve

browser:  # for the tests of the page; without it they are skipped by name
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium chromium-driver >/dev/null; \
	else \
		echo "no chromium and chromedriver: the browser tests will be skipped."; \
		echo "To run them: sudo apt-get install chromium chromium-driver"; \
	fi

# axe-core (MPL-2.0) finds faults of accessibility; it is used by tests alone, and is in no package of ours.
AXE = axe-core@4.14.1

axe: $(VENV)/axe/package/axe.min.js  # for the test of accessibility; without it, it is skipped by name

$(VENV)/axe/package/axe.min.js: $(VENV)/bin/pip Makefile
	@if ! command -v npm >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends npm >/dev/null; \
	fi
	@mkdir -p $(VENV)/axe
	@npm pack --silent --pack-destination $(VENV)/axe $(AXE) >/dev/null && \
		tar -xzmf $(VENV)/axe/$(subst @,-,$(AXE)).tgz -C $(VENV)/axe || \
		echo "no $(AXE) from npm: the test of accessibility will be skipped."

$(VENV)/bin/pip:
	@$(PYTHON) -m venv $(VENV) || { \
		echo "Python 3.11 or newer with venv is needed: apt-get install python3-venv"; exit 1; }

$(VENV)/.base: $(VENV)/bin/pip pyproject.toml constraints.txt
	@echo "installing Satchel into $(VENV) …"
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.market: $(VENV)/.base
	@$(INSTALL) --editable ".[market]"
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "installing what tests need into $(VENV) …"
	@$(INSTALL) --editable ".[dev,annotate,heic,market,ocr$(if $(filter-out 0,$(TRAIN)),$(comma)train)]"
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	@echo "installing what the documentation needs into $(VENV) …"
	@$(INSTALL) --editable ".[docs]"
	@touch $@

comma := ,

clean:  ## remove the virtual environment and all workspaces made here
	rm -rf $(VENV) $(DEMO) .bench site docs/reference
