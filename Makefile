# `make` alone lists the verbs. STACK=name chooses the stack, YES=1 answers every question, ARGS="..." goes to Pulumi.
export YES PYTHON
BOOT := @sh ops/toolchain/bootstrap.sh
PY   := .venv/bin/python
FOR  := $(if $(STACK),--stack $(STACK))
SURE := $(if $(YES),--yes)
PIN  := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
CLUSTER := tests/cluster tests/manifests tests/lab

.DEFAULT_GOAL := help
.PHONY: help up preview down status doctor password set recover backup restore sample lab lab-down test test-cluster test-fast check reference lock outdated bench

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
up: ## install the prerequisites and deploy
	$(BOOT) runtime && $(PY) -m ops up $(FOR) $(SURE) $(ARGS)
preview: ## show what `make up` would change
	$(BOOT) runtime && $(PY) -m ops preview $(FOR) $(ARGS)
down: ## remove what is deployed; Jenkins' home and the registry's images stay
	$(BOOT) runtime && $(PY) -m ops down $(FOR) $(SURE) $(ARGS)
status: ## show what is deployed and how it is
	$(BOOT) runtime && $(PY) -m ops status $(FOR)
doctor: ## check what this machine and the stack's cluster have and lack
	$(BOOT) runtime && $(PY) -m ops doctor $(FOR)
password: ## print the administrator's or the registry user's password
	$(BOOT) runtime && $(PY) -m ops password $(FOR)
set: ## set one setting in the stack's file, a secret encrypted: make set KEY=ci:gitToken, or with a file: < FILE
	$(BOOT) runtime && $(PY) -m ops set $(FOR) $(KEY)
recover: ## clean up after a Pulumi that was killed
	$(BOOT) runtime && $(PY) -m ops recover $(FOR) $(SURE)
backup: ## write all that the stack keeps into one file, with Jenkins or the registry stopped: make backup FILE=/mnt/ci.zip
	$(BOOT) runtime && $(PY) -m ops backup $(FOR) $(if $(FILE),--file "$(FILE)")
restore: ## put back what `make backup` wrote, where there is nothing of it, and deploy: make restore FILE=...
	$(BOOT) runtime && $(PY) -m ops restore $(FOR) $(SURE) $(if $(FILE),--file "$(FILE)")
sample: ## run Jenkins' sample pipeline, or an image that was built, and follow it
	$(BOOT) runtime && $(PY) -m ops sample $(FOR)
lab: ## start a real Kubernetes node on this machine, for STACK=lab
	$(BOOT) dev && $(PY) -m lab up
lab-down: ## end that node and all that is on it
	$(BOOT) dev && $(PY) -m lab down
test: ## run every test that needs no cluster
	$(BOOT) dev && $(PY) -m ops.toolchain docker && $(PY) -m pytest -n 2 $(CLUSTER:%=--ignore=%) $(ARGS)
	@echo "The other tests run on a real Kubernetes node: make test-cluster (15 minutes; the first time builds it, 20 more)"
test-cluster: ## build the lab, and run the tests that need a cluster
	$(BOOT) dev && $(PY) -m ops.toolchain kubernetes && $(PY) -m lab build && $(PY) -m pytest -n 2 $(CLUSTER) $(ARGS)
test-fast: ## run the tests that need no Pulumi and no Docker
	$(BOOT) dev && $(PY) -m pytest tests/unit tests/components tests/contract $(ARGS)
check: ## lint, format and types
	$(BOOT) dev && .venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy
reference: ## regenerate the schema and the settings reference
	$(BOOT) dev && $(PY) -m components.settings.reference
lock: ## regenerate the lock files from the .in files
	$(BOOT) dev && $(PIN) requirements.in -o requirements.txt && $(PIN) requirements-dev.in -o requirements-dev.txt && $(PIN) offline/go-requirements.in -o offline/go-requirements.txt && $(PIN) policies/requirements.in -o policies/requirements.txt && $(PIN) tests/manifests/checkov-requirements.in -o tests/manifests/checkov-requirements.txt
outdated: ## show which pins have a newer version; what can't be asked is said
	$(BOOT) dev && $(PY) .ci/outdated.py
bench: ## measure: make bench ARGS="docker --rounds 5"; `python -m benchmarks report` renders it
	$(BOOT) dev && $(PY) -m benchmarks run $(ARGS)
