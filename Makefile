# Two commands: `make demo` shows Sparrow on real books, `make test` runs what CI runs. Both reuse what is there.

PYTHON ?= python3
SERVE  ?= 1
PORT   ?= 8000
QUERIES ?= 1000000

BIN  := .venv/bin
DEMO := .demo
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
INSTALL_DEV := $(INSTALL) --no-build-isolation -C build-dir=build/kernel -C cmake.define.SPARROW_STRICT=ON -e '.[train,collect,dev]'
KERNEL := CMakeLists.txt $(wildcard index/kernel/* training/kernel/*)
CPP := $(wildcard $(foreach room,index training,$(room)/kernel/*.cpp $(room)/kernel/*.hpp) benchmarks/*.cpp)

.PHONY: help demo kernel sanitize fuzz faults test lint types audit clean compiler
.DELETE_ON_ERROR:

help:
	@echo "make demo          train on the bundled books, publish, serve the page on port $(PORT) (SERVE=0: stop before serving)"
	@echo "make kernel        compile the C++ kernel again, in place and only what changed (make test does it too)"
	@echo "make sanitize      the kernel's tests and fuzzers under the address and undefined-behaviour sanitizers (Linux, GCC)"
	@echo "make fuzz          a million random questions to the kernel, against the reference (QUERIES=20000: fewer)"
	@echo "make faults        break a real server under load in fourteen ways; a dated report in benchmarks/reports (5 minutes)"
	@echo "make test          lint, types and all tests; needs Chromium"
	@echo "make audit         ask PyPI whether a pinned dependency has a known vulnerability"
	@echo "make clean         remove the environment and everything the demo made"

# --- environments -----------------------------------------------------------------------------------------------------

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "make needs Python 3.11 or newer: install python3, or name one by PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv

compiler:
	@command -v $${CXX:-c++} >/dev/null || { [ -z "$$CXX" ] && { command -v g++ || command -v clang++; } >/dev/null; } || { \
	  echo "Sparrow's kernel is C++17 and no C++ compiler was found: install one (Debian: apt install g++) and run this again."; \
	  exit 1; }

.venv/.train: pyproject.toml constraints.txt $(KERNEL) | compiler .venv/bin/python
	@echo "Installing Sparrow with the training extra (the first time this downloads its wheels) ..."
	$(INSTALL) -e '.[train]'
	@touch $@

# Not isolated, so that ninja can go on where pip stopped: in build/kernel, with what is in the environment.
.venv/.dev: pyproject.toml constraints.txt | compiler .venv/bin/python
	@echo "Installing Sparrow with the training and development extras (the first time this downloads its wheels) ..."
	$(BIN)/python docker/requirements.py build | $(INSTALL) cmake ninja -r /dev/stdin
	$(INSTALL_DEV)
	@touch $@ .venv/.train

kernel: .venv/.dev
	@test -f build/kernel/build.ninja || $(INSTALL_DEV)
	$(BIN)/cmake --build build/kernel
	@touch .venv/.train

# --- the demo ---------------------------------------------------------------------------------------------------------

$(DEMO)/run/metrics.json: | .venv/.train
	$(BIN)/sparrow-train fit --dataset goodbooks --run $(DEMO)/run --resume

# The manifest's module has the number of the format: a snapshot of an older one is published again.
$(DEMO)/snapshots/CURRENT: $(DEMO)/run/metrics.json index/manifest.py
	$(BIN)/sparrow-train publish $(DEMO)/run --snapshots $(DEMO)/snapshots

$(DEMO)/examples.txt: | .venv/.train
	$(BIN)/sparrow-train examples --dataset goodbooks --count 24 --out $(DEMO)/examples.jsonl > $@

demo: .venv/.train $(DEMO)/snapshots/CURRENT $(DEMO)/examples.txt
ifeq ($(SERVE),0)
	@echo "Published in $(DEMO)/snapshots. 'make demo' serves it."
else
	SPARROW_EXAMPLE_USERS=$$(cat $(DEMO)/examples.txt) $(BIN)/sparrow-serve --port $(PORT) \
	  --snapshots $(DEMO)/snapshots --data $(DEMO)/store --events $(DEMO)/examples.jsonl
endif

# --- the tests --------------------------------------------------------------------------------------------------------

test: kernel
	@docker/ensure-chromium
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/mypy
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

lint: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

# $(call kernel_of,NAME,CMAKE OPTIONS): the kernel compiled otherwise, and a tree in which it lies in place of the installed
# one, so that no module and no test knows of it. $(call python_of,NAME): Python there.
define kernel_of
	$(BIN)/cmake -S . -B build/$(1) -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja $(2) \
	  -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python -Dnanobind_ROOT=$$($(BIN)/python -m nanobind --cmake_dir)
	$(BIN)/cmake --build build/$(1)
	rm -rf build/$(1)/tree && mkdir -p build/$(1)/tree/tests
	cp -R index training pyproject.toml build/$(1)/tree && cp -R tests/conftest.py tests/index tests/training tests/golden build/$(1)/tree/tests
	for room in index training; do \
	  rm -f build/$(1)/tree/$$room/_kernel.*.so && cp build/$(1)/$$room/kernel/_kernel.*.so build/$(1)/tree/$$room || exit 1; done
	$(call python_of,$(1)) -c 'from index import _kernel as k; assert k.__file__.startswith("$(CURDIR)/build/$(1)/"), k.__file__'
endef
TREE = $(CURDIR)/build/$(1)/tree
python_of = cd $(TREE) && env PYTHONPATH=$(TREE) $(ENV_$(1)) $(CURDIR)/$(BIN)/python -X faulthandler

# The sanitizers must be loaded before Python, and libstdc++ too, or they cannot see its exceptions. Loads and stores of
# vectors are checked as any other; gathers, scatters and masked ones are not.
RUNTIME = $(foreach name,asan ubsan stdc++,$(shell $${CXX:-g++} -print-file-name=lib$(name).so))
ENV_sanitize = LD_PRELOAD="$(RUNTIME)" PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 \
  UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1
ENV_sanitize-fuzz = $(ENV_sanitize)
SANITIZERS := -DCMAKE_BUILD_TYPE=Debug -DSPARROW_SANITIZE=ON

# With small blocks a catalogue of a few thousand items has many, and its searches are pruned.
SMALL_BLOCKS := -DCMAKE_CXX_FLAGS=-DSPARROW_BLOCK=128

sanitize: .venv/.dev
	$(call kernel_of,sanitize,$(SANITIZERS))
	$(call python_of,sanitize) -m pytest --capture=sys tests/index/test_kernel*.py \
	  $(foreach name,assembly postings search query rows_of_pages segments sparse vocabulary,tests/index/test_$(name).py) tests/training/test_training_kernel.py
	$(call kernel_of,sanitize-fuzz,$(SANITIZERS) $(SMALL_BLOCKS))
	$(call python_of,sanitize-fuzz) tests/index/fuzz_search.py 20000
	$(call python_of,sanitize-fuzz) tests/index/fuzz_corrupt.py 1000

fuzz: .venv/.dev
	$(call kernel_of,fuzz,-DCMAKE_BUILD_TYPE=Release $(SMALL_BLOCKS))
	$(call python_of,fuzz) tests/index/fuzz_search.py $(QUERIES)

faults: .venv/.dev
	$(BIN)/python -m benchmarks.faults --out benchmarks/reports >/dev/null

types: .venv/.dev
	$(BIN)/mypy

# In an environment of its own: what pip-audit needs is nothing that we pin. --strict: what could not be looked up is no pass.
# Where PyPI does not answer pip-audit speaks of dependencies that do not exist, so it is asked for one that does.
KNOWN := https://pypi.org/pypi/pip/24.0/json
audit: | .venv/bin/python
	@$(PYTHON) -c 'import urllib.request as web; web.urlopen("$(KNOWN)", timeout=30)' 2>/dev/null || { \
	  echo "Nothing was audited: $(KNOWN) cannot be read from here, and known vulnerabilities are told there. Run this elsewhere."; \
	  exit 1; }
	$(PYTHON) -m venv build/audit
	build/audit/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	build/audit/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off -r constraints.txt

clean:
	rm -rf .venv build index/_kernel.*.so training/_kernel.*.so $(DEMO) .mypy_cache .ruff_cache .pytest_cache .hypothesis
