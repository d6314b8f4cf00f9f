# Fleek Edge: everything a person or a build machine does here, one target each. `make help` lists them.
# Needs: Python 3.11 or newer (with venv), a Rust toolchain (cargo), make. All else lands in .venv and build/.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# where `make run` listens and keeps its data; PORT=0 takes any free port
PORT ?= 8080
DATA ?= build/run/data

# long forms: make faults SUITE=store ROUNDS=200 SEED=7, make fuzz TARGET=http SECONDS=60, make bench ONLY=http
SUITE ?= store
ROUNDS ?= 200
SEED ?=
TARGET ?=
SECONDS ?= 60
RUNS ?=
ONLY ?=
# more words for pytest: make test ARGS="-k range"; and how many processes, 0 is this one
ARGS ?=
JOBS ?= 0

VENV := .venv
PY := $(VENV)/bin/python
DEPS := $(VENV)/.installed-requirements
INSTALLED := $(VENV)/.installed-product
NATIVE := content/bao/_native.abi3.so
RUST := $(shell find native/src -name '*.rs' 2>/dev/null)

.PHONY: missing-library help setup run test check format bench faults fuzz mutants lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

setup: $(INSTALLED) ## create .venv with the product in it, native part built; nothing to do when up to date

# Any interpreter that is new enough will do: the usual one first, then by name. PYTHON=/path decides alone.
$(PY):
	@found=; for candidate in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python); do \
	    if "$$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "make: no Python 3.11 or newer found (tried: $(or $(PYTHON),python3 and python3.11 to python3.14))." >&2; \
	    echo "make: install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	"$$found" -m venv $(VENV) || { \
	    echo "make: $$found cannot create a virtual environment; on Debian: apt install python3-venv" >&2; \
	    rm -rf $(VENV); exit 1; }

# Hashes are checked; the lock names no registry, so pip asks whichever it is configured for.
$(DEPS): requirements-dev.lock | $(PY)
	@echo "setup: libraries from requirements-dev.lock"
	@$(PY) -m pip --disable-pip-version-check install --quiet --require-hashes --requirement requirements-dev.lock
	@touch $@

# Editable, and the only way to install: the native library lands beside its stub, so an edit of Rust or of
# the entry points makes the installation old and nothing else does; a library that was removed is built again.
$(INSTALLED): pyproject.toml native/Cargo.toml native/Cargo.lock $(RUST) $(DEPS) $(if $(wildcard $(NATIVE)),,missing-library)
	@command -v cargo >/dev/null 2>&1 || { \
	    echo "make: cargo is not on PATH: install a Rust toolchain (1.85 or newer; rustup, or Debian's rustc-web cargo-web)" >&2; \
	    exit 1; }
	@echo "setup: native library and console scripts"
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PY) -m pip --disable-pip-version-check install --quiet \
	    --no-build-isolation --no-deps --editable .
	@touch $@

run: setup ## start a node with real content in it and print commands to try [PORT=8080] [DATA=dir]
	@exec $(PY) -m tools.demo --port $(PORT) --data "$(DATA)"

test: setup ## run every test [ARGS="-k word"] [JOBS=auto: side by side, a process a core]
	@$(PY) -m pytest --numprocesses=$(JOBS) --dist=worksteal $(ARGS)

check: setup ## types, lint, format, import contracts; under a minute
	@failed=; \
	$(VENV)/bin/ruff check . || failed="$$failed lint"; \
	$(VENV)/bin/ruff format --check . || failed="$$failed format(make format)"; \
	$(VENV)/bin/mypy . || failed="$$failed types"; \
	$(VENV)/bin/lint-imports || failed="$$failed imports"; \
	[ -z "$$failed" ] || { echo "make check: failed:$$failed" >&2; exit 1; }

format: setup ## rewrite Python files the one way ruff lays them out
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format .

bench: setup ## measure every promised number into build/bench.json [ONLY=id]
	@$(PY) -m tests.bench $(ONLY)

faults: setup ## long fault tests: kill -9, full disk, flipped bits [SUITE=store ROUNDS=200 SEED=n]
	@$(PY) -m tests.faults $(SUITE) $(ROUNDS) $(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))

# Guidance by coverage where its library exists for this machine; blind mutation elsewhere, said aloud by the runner.
FUZZ_DEPS := $(VENV)/.installed-fuzz
$(FUZZ_DEPS): requirements-fuzz.lock $(DEPS)
	@$(PY) -m pip --disable-pip-version-check install --quiet --require-hashes --only-binary :all: \
	    --requirement requirements-fuzz.lock || echo "setup: no coverage guidance for this machine" >&2
	@touch $@

fuzz: setup $(FUZZ_DEPS) ## coverage-guided fuzzing of one parser [TARGET=name SECONDS=60 | RUNS=n]
	@$(PY) -m tests.fuzz "$(TARGET)" $(if $(RUNS),--runs $(RUNS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

mutants: setup ## break the code on purpose, patch by patch: a test must notice each [ONLY=word]
	@$(PY) -m tests.mutants $(ONLY)

UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

lock: ## write the lock files again after a change of dependencies (needs uv)
	@command -v uv >/dev/null 2>&1 || { echo "make: uv is not on PATH (pip install uv)" >&2; exit 1; }
	@$(UV_COMPILE) pyproject.toml --output-file requirements.lock
	@$(UV_COMPILE) pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	@$(UV_COMPILE) pyproject.toml --extra fuzz --constraint requirements.lock --output-file requirements-fuzz.lock

clean: ## remove .venv, build/ and the native library
	@rm -rf $(VENV) build native/target $(NATIVE) .mypy_cache .ruff_cache .pytest_cache .hypothesis
