.DEFAULT_GOAL := help
.PHONY: help demo up test test-slow test-docker chaos faults gpu-check lint catalogue requirements clean

# One stamp a set of pins: a changed requirements file makes the environment anew, an unchanged one costs nothing.
ENVIRONMENT := .venv/.made
PYTHON ?= python3
BIN := .venv/bin
# Tests wait most of their time for processes. A file's tests stay together: they share servers.
TWO_AT_ONCE := --numprocesses 2 --dist loadfile

help: ## show this list
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(ENVIRONMENT) ## train the CNN on real handwritten digits, end to end, then stop everything
	@$(BIN)/fitqueue up --run examples/digits_demo.py

up: $(ENVIRONMENT) ## start API, Redis and one worker here; Ctrl-C stops all of it
	@$(BIN)/fitqueue up

test: $(ENVIRONMENT) ## run the tests
	$(BIN)/pytest $(TWO_AT_ONCE) -m "not slow and not chaos and not docker"

test-slow: $(ENVIRONMENT) ## run the tests that train on whole data sets, too
	$(BIN)/pytest $(TWO_AT_ONCE) -m "not chaos and not docker"

test-docker: $(ENVIRONMENT) ## build the images and try `docker compose up --scale worker=4`, on the Docker engine that answers
	$(BIN)/pytest -m docker

chaos: $(ENVIRONMENT) ## kill everything at random while jobs train, and compare; CHAOS_JOBS=1000 for the long form
	$(BIN)/pytest -m chaos tests/chaos

faults: $(ENVIRONMENT) ## run the integration tests while one call in a hundred of the database fails
	$(BIN)/pytest -p tests.faults tests/integration/store tests/integration/service tests/integration/client

gpu-check: ## on a machine with a GPU: train the document's CNN on it and on the CPU, and compare
	@tools/gpu-check $(PYTHON)

lint: $(ENVIRONMENT) ## ruff, mypy --strict and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

catalogue: $(ENVIRONMENT) ## take the catalogue of layers, optimizers, … from the installed Keras anew
	$(BIN)/python -m tools.make_catalogue

requirements: ## pin everything in pyproject.toml anew
	tools/pin

clean: ## remove the environment and everything that ran here
	rm -rf .venv .venv-gpu .tools var

$(ENVIRONMENT): requirements/dev.txt requirements/uv.txt pyproject.toml
	@tools/make-environment $(PYTHON)
