.DEFAULT_GOAL := help
.PHONY: help demo up fast test test-slow test-docker chaos faults gpu-check lint hooks catalogue requirements clean

# This file marks that the environment matches the pins: a changed requirements file updates it, nothing else does.
ENVIRONMENT := .venv/.made
PYTHON ?= python3
BIN := .venv/bin
# Most tests wait for processes most of the time: three at once keep two processors busy. The tests of one file run
# together because they share servers. In the order of the folders, long files come first and short ones last, so that
# no process is left alone with a long one; xdist's own order is by the number of tests.
SEVERAL_AT_ONCE := --numprocesses 3 --dist loadfile --no-loadscope-reorder
# Databases and files of tests are in memory where that is possible: on a disk the tests of databases take twice as long.
PYTEST := tools/in-memory $(BIN)/pytest
# Thousands of random jobs, a fifth of the time of all unit tests.
NOT_FAST := --ignore tests/unit/fitqueue/spec/test_any_job.py

# Only what is typed after `make up`: a shell may have a HOST or a PORT of its own.
up_option = $(if $(findstring command line,$(origin $(1))),--$(2) "$($(1))")
UP_OPTIONS = $(call up_option,HOST,host) $(call up_option,PORT,port) $(call up_option,WORKERS,workers) \
             $(call up_option,SLOTS,slots) $(call up_option,DIR,dir)

help: ## show this list
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(ENVIRONMENT) ## train a CNN on real handwritten digits, end to end, then stop everything
	@$(BIN)/fitqueue up --run examples/digits_demo.py

up: $(ENVIRONMENT) ## start the API, Redis and a worker here, or WORKERS=4; also HOST=, PORT=, SLOTS=, DIR=
	@$(BIN)/fitqueue up $(UP_OPTIONS)

fast: lint ## run the linters and the unit tests, which need no TensorFlow and no containers
	$(PYTEST) $(SEVERAL_AT_ONCE) $(NOT_FAST) --quiet tests/unit

test: $(ENVIRONMENT) ## run the tests
	$(PYTEST) $(SEVERAL_AT_ONCE) -m "not slow and not chaos and not docker"

test-slow: $(ENVIRONMENT) ## run the tests, and those that train on whole data sets
	$(PYTEST) $(SEVERAL_AT_ONCE) -m "not chaos and not docker"

test-docker: $(ENVIRONMENT) ## build the images and test `docker compose up` with four workers; needs a Docker engine
	$(BIN)/pytest -m docker

chaos: $(ENVIRONMENT) ## kill everything at random while jobs train, and compare the results; CHAOS_JOBS=1000: long form
	$(BIN)/pytest -m chaos tests/chaos

faults: $(ENVIRONMENT) ## run the integration tests while one in a hundred database calls fails
	$(PYTEST) -p tests.faults tests/integration/store tests/integration/service tests/integration/client

gpu-check: ## on a machine with a GPU: train the reference's CNN on it and on the CPU, and compare
	@tools/gpu-check $(PYTHON)

lint: $(ENVIRONMENT) ## run ruff, mypy --strict and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

hooks: $(ENVIRONMENT) ## run the linters before each git commit
	git config core.hooksPath .githooks

catalogue: $(ENVIRONMENT) ## write the catalogue of layers, optimizers, … from the installed Keras
	$(BIN)/python -m tools.make_catalogue

requirements: ## pin the dependencies in pyproject.toml
	tools/pin

clean: ## remove the environment and everything that ran here
	rm -rf .venv .venv-gpu .tools var

$(ENVIRONMENT): requirements/dev.txt requirements/uv.txt pyproject.toml
	@tools/make-environment $(PYTHON)
