# One command each; every target rests on `setup`, which makes .venv from the hash-locked requirements.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
SCAN := $(VENV)/scan
SITE := $(VENV)/lib/python3.11/site-packages
PYTHON ?=
WORKERS ?= 2
BUNDLE ?= shop:latest
ARGS ?=
SCANNERS ?=
ONCE ?=
QUICK ?=
UPGRADE ?=
FUZZ_SECONDS ?= 60

PROTO_OUT := src/micromoment/v1
RELEASED := tests/contract/released.txtpb
PROTO_COMMENTS := src/micromoment/http/comments.json
COMPILE := $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)
protoc = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc --proto_path=protos --proto_path=$(SITE) \
	--python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) --mypy_grpc_out=quiet:$(1) \
	$$(find protos -name '*.proto' | sort)
comments = $(BIN)/python -m grpc_tools.protoc --proto_path=protos --proto_path=$(SITE) --include_source_info \
	--descriptor_set_out=build/contract.binpb $$(find protos -name '*.proto' | sort) \
	&& $(BIN)/python scripts/proto_comments.py build/contract.binpb $(1)
NOJIT_TESTS := tests/property tests/unit/events tests/unit/features
LONG_TESTS := tests/promises tests/integration/test_truth.py tests/e2e/test_parity.py tests/e2e/test_real_shop.py

.PHONY: help
help: ## Print every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: setup
setup: $(VENV)/.requirements $(VENV)/.package ## Make .venv from the locked requirements (PYTHON=/path/to/python3.11)
	@:

$(BIN)/python:
	@bash scripts/make_venv.sh $(VENV) $(if $(PYTHON),"$(PYTHON)")

$(VENV)/.requirements: requirements/dev.txt scripts/install_locked.sh | $(BIN)/python
	@bash scripts/install_locked.sh $(BIN) requirements/dev.txt
	@touch $@

.PHONY: scanners
scanners: $(SCAN)/.requirements ## Make the scanners' own environment from their lock

$(SCAN)/.requirements: requirements/scan.txt scripts/install_locked.sh | $(VENV)/.requirements
	@bash scripts/make_venv.sh $(SCAN) $(BIN)/python
	@bash scripts/install_locked.sh $(SCAN)/bin requirements/scan.txt $(BIN)/uv
	@touch $@

$(VENV)/.package: pyproject.toml src/micromoment/__init__.py $(VENV)/.requirements
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index \
		--editable .
	@touch $@

.PHONY: lock
lock: setup ## Resolve requirements/*.txt again from pyproject.toml and dev.in (UPGRADE=1 takes newer versions)
	$(COMPILE) pyproject.toml --extra training --extra dask --extra http --extra traces requirements/dev.in --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --constraints requirements/dev.txt --output-file requirements/base.txt
	$(COMPILE) pyproject.toml --extra http --constraints requirements/dev.txt --output-file requirements/http.txt
	$(COMPILE) requirements/fuzz.in --output-file requirements/fuzz.txt
	$(COMPILE) pyproject.toml --extra training --extra dask --constraints requirements/dev.txt --output-file requirements/training.txt
	$(COMPILE) requirements/scan.in --output-file requirements/scan.txt
	@$(MAKE) sbom

.PHONY: sbom
sbom: scanners ## Write the bills of materials of what serves, requirements/*.cdx.json (CycloneDX)
	$(BIN)/python scripts/sbom.py $(SCAN)/bin/cyclonedx-py requirements/base.txt requirements/base.cdx.json
	$(BIN)/python scripts/sbom.py $(SCAN)/bin/cyclonedx-py requirements/http.txt requirements/http.cdx.json

.PHONY: demo
demo: setup ## Simulate a shop, train, serve, score one visit; keeps serving (ONCE=1 ends by itself)
	@$(BIN)/micromoment demo $(if $(filter 1,$(ONCE)),--once) $(ARGS)

.PHONY: serve
serve: setup ## Serve a bundle over gRPC (BUNDLE=shop:latest)
	@$(BIN)/micromoment serve --bundle $(BUNDLE) $(ARGS)

.PHONY: test
test: setup ## Run all tests; real data through MICROMOMENT_DATA_DIR, REQUIRE_ALL=1 fails what would be skipped
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: soak
soak: setup ## Run what has a long form in it, one by one, for hours: promises, what training recovers (ARGS="-k a1")
	@SOAK=1 $(BIN)/python -m pytest $(LONG_TESTS) $(ARGS)

.PHONY: fuzz
fuzz: setup ## Fuzz what answers requests, guided by coverage (FUZZ_SECONDS=600); what fails is in build/fuzz
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check --no-deps --require-hashes --requirement requirements/fuzz.txt
	@mkdir -p build/fuzz && $(BIN)/python -m tests.fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=8192 \
		-print_final_stats=1 -artifact_prefix=build/fuzz/ build/fuzz/corpus

.PHONY: test-nojit
test-nojit: setup ## Run the property, event and feature tests without compilation
	@NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -n $(WORKERS) $(wildcard $(NOJIT_TESTS)) $(ARGS)

.PHONY: wheel-test
wheel-test: setup ## Build the wheel and try it without the source tree
	@bash scripts/test_wheel.sh $(BIN) $(SITE)

.PHONY: image-test
image-test: setup ## Build the image without a daemon and check it in strict containers; as root, on Debian, minutes
	@bash scripts/image_test.sh $(BIN)

.PHONY: lint
lint: setup ## Check style, types, import directions, protos and the Dockerfile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf breaking --against $(RELEASED)
	$(BIN)/hadolint Dockerfile deploy/training.Dockerfile

.PHONY: security
security: scanners ## Look for faults in the code: bandit, semgrep with .semgrep, secrets (SCANNERS=bandit)
	@$(BIN)/python scripts/scan.py $(SCAN)/bin . $(SCANNERS)

.PHONY: format
format: setup ## Mend what ruff can mend, and lay out the code
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

.PHONY: proto
proto: setup ## Generate src/micromoment/v1 from protos/, and the service config for clients
	@rm -f $(PROTO_OUT)/*_pb2*.py $(PROTO_OUT)/*_pb2*.pyi
	@$(call protoc,src)
	@$(BIN)/python -c 'from micromoment.client.channel import published; print(published(), end="")' \
		>protos/micromoment/v1/micromoment_grpc_service_config.json
	@mkdir -p build && $(call comments,$(PROTO_COMMENTS))

.PHONY: proto-check
proto-check: setup ## Fail where the generated code is not what protos/ says
	@rm -rf build/proto && mkdir -p build/proto && $(call protoc,build/proto)
	@diff --recursive --brief --exclude=__init__.py --exclude=__pycache__ $(PROTO_OUT) build/proto/micromoment/v1 \
		&& $(call comments,build/comments.json) && diff --brief build/comments.json $(PROTO_COMMENTS) \
		|| { echo "error: run 'make proto' and commit what it changes" >&2; exit 1; }

.PHONY: proto-release
proto-release: setup ## Take the contract as released: make lint refuses what would break its callers
	@$(BIN)/buf build --path protos/micromoment --exclude-source-info --output $(RELEASED)

.PHONY: bench
bench: setup ## Measure serving beside its peers (QUICK=1: two minutes), or others (ARGS="replay latency")
	@$(BIN)/python -m benchmarks.run $(ARGS) $(if $(filter 1,$(QUICK)),--quick)

.PHONY: clean
clean: ## Remove caches and build results; .venv stays
	@rm -rf build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src training tests benchmarks feature_repo -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
