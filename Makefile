# `make demo` runs the whole path on real data, `make test` runs the tests. Everything else is below.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check soak up notebook bench-ingest bench-warehouse bench-drift bench-forecast bench-retrieval bench-api docs lock clean

help:  ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(VENV)/run  ## run the whole path on 1,469,307 real sale lines, print a summary and end
	$(BIN)/mercurios demo

test: $(VENV)/test  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

check: $(VENV)/test  ## style, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

up: $(VENV)/run  ## start Prefect (server, deployments, worker), MLflow and the API on loopback until Ctrl-C
	@exec $(BIN)/mercurios up

soak: $(VENV)/test  ## kill the ingest process 1,000 times under faults; try 10,000 ways to another merchant's rows; look for new cases that break a law
	$(BIN)/python -m pytest tests/test_ingest_kills.py -n 2 --kills 1000 --timeout 7200
	$(BIN)/python -m pytest tests/test_isolation.py --attempts 10000
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile default -n 2 --dist loadgroup

bench-ingest: $(VENV)/test .venv-dlt/installed  ## rows per second and memory beside dlt, and a new day on 1x and 10x history
	$(BIN)/python -m benchmarks.ingest

bench-warehouse: $(VENV)/test  ## dbt build on the full 1.47 million lines, one more day, and the same SQL bare
	$(BIN)/python -m benchmarks.warehouse

bench-drift: $(VENV)/test  ## false alarms of what is stable, and level shifts found within a fortnight
	$(BIN)/python -m benchmarks.drift

bench-forecast: $(VENV)/test  ## accuracy beside the field on six levels, the M3, ten thousand series, and orders in money
	$(BIN)/python -m benchmarks.forecast

bench-retrieval: $(VENV)/test  ## labelled questions and phrases, German and English, against the planner and the index
	$(BIN)/python -m benchmarks.retrieval

bench-api: $(VENV)/test  ## a hundred requests a second over twenty merchants, and the same resolvers behind Strawberry
	$(BIN)/python -m benchmarks.api

notebook: $(VENV)/run  ## open JupyterLab on the notebooks
	@exec $(BIN)/jupyter lab --ip 127.0.0.1 --notebook-dir notebooks

docs: $(VENV)/run  ## write docs/metrics.md, docs/graphql.md and the page var/docs/dbt.html (models, columns, lineage)
	$(BIN)/python -m mercurios.metrics docs/metrics.md var/docs/dbt.html
	$(BIN)/python -m mercurios.api docs/graphql.md

lock: $(VENV)/run  ## resolve pyproject.toml into the two locks again, keeping what still fits
	sh .ci/lock

clean:  ## remove the state of the demonstration (var/, mlruns/), not the environment
	rm -rf var dbt/target dbt/logs
	find mlruns -mindepth 1 ! -name .gitkeep -delete

$(VENV)/run: requirements.lock pyproject.toml
	PYTHON="$(PYTHON)" sh .ci/install requirements.lock
	touch $@

$(VENV)/test: $(VENV)/run requirements-test.lock
	PYTHON="$(PYTHON)" sh .ci/install requirements-test.lock
	touch $@

.venv-dlt/installed: benchmarks/requirements-dlt.lock
	PYTHON="$(PYTHON)" sh .ci/install-dlt
	touch $@
