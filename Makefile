# `make` alone lists the verbs.
export YES PYTHON STACK KEY FILE FORMAT
BOOT := @sh setup/bootstrap.sh
PY   := sh setup/python.sh
FOR  := $${STACK:+--stack "$$STACK"}
ARCHIVE = $(if $(FILE),--file "$$FILE",$(error FILE is not set. Give the archive: make $@ FILE=/mnt/backup/ci.zip))
PIN  := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
CLUSTER := tests/cluster tests/manifests tests/lab
# A cluster of yours, which KUBECONFIG names, in the lab's place.
YOURS := $(filter 1,$(CI_TEST_CLUSTER))

.DEFAULT_GOAL := help
.PHONY: help up preview down status doctor password set recover backup restore sample lab lab-down test test-cluster test-fast check reference lock outdated bench faults

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'STACK=name chooses the stack, YES=1 answers each question with yes, ARGS="..." is passed on to Pulumi, pytest, the benchmarks or faults.'
up: ## install the prerequisites and deploy
	$(BOOT) runtime && $(PY) -m ops up $(FOR) $(ARGS)
preview: ## show what `make up` would change
	$(BOOT) runtime && $(PY) -m ops preview $(FOR) $(ARGS)
down: ## remove what is deployed; Jenkins' home and the registry's images stay
	$(BOOT) runtime && $(PY) -m ops down $(FOR) $(ARGS)
status: ## show what is deployed and whether it works; as data: make status FORMAT=json
	$(BOOT) runtime && $(PY) -m ops status $(FOR) $${FORMAT:+--format "$$FORMAT"}
doctor: ## check the machine, the cluster and the settings
	$(BOOT) runtime && $(PY) -m ops doctor $(FOR)
password: ## print the password of Jenkins' administrator or of the registry's user; of another: make password USER=alice
	$(BOOT) runtime && $(PY) -m ops password $(FOR) $(if $(findstring command,$(origin USER)),--user "$$USER")
set: ## set one setting in the stack's file, encrypted if it is a secret: make set KEY=ci:gitToken (a whole file: < FILE)
	$(BOOT) runtime && $(PY) -m ops set $(FOR) "$$KEY"
recover: ## repair the state after a Pulumi that was killed, or whose file was damaged
	$(BOOT) runtime && $(PY) -m ops recover $(FOR)
backup: ## stop Jenkins or the registry, and copy its data and the state into one file: make backup FILE=/mnt/ci.zip
	$(BOOT) runtime && $(PY) -m ops backup $(FOR) $(ARCHIVE)
restore: ## put back what `make backup` wrote, on a host or cluster without it, and deploy: make restore FILE=/mnt/ci.zip
	$(BOOT) runtime && $(PY) -m ops restore $(FOR) $(if $(filter 1,$(UNSIGNED)),--unsigned) $(ARCHIVE)
sample: ## run Jenkins' sample pipeline, or in a cluster an image that was built
	$(BOOT) runtime && $(PY) -m ops sample $(FOR)
lab: ## start a real Kubernetes node on this machine, for STACK=lab
	$(BOOT) dev && $(PY) -m lab up
lab-down: ## remove that node and all that is on it
	$(BOOT) dev && $(PY) -m lab down
test: ## run every test that needs no cluster
	$(BOOT) dev && $(PY) -m setup docker && $(PY) -m pytest -n 2 $(CLUSTER:%=--ignore=%) $(ARGS)
	@echo "The other tests run on a real Kubernetes node: make test-cluster (22 minutes; the first time builds it, about 20 more)"
test-cluster: ## build the lab and run the tests that need a cluster; on one of yours: KUBECONFIG=FILE CI_TEST_CLUSTER=1 make test-cluster
	$(BOOT) dev && $(PY) -m setup kubernetes && $(if $(YOURS),,$(PY) -m lab build && )$(PY) -m pytest -n 2 $(if $(YOURS),$(filter-out tests/lab,$(CLUSTER)),$(CLUSTER)) $(ARGS)
test-fast: ## run the tests that need no Pulumi and no Docker
	$(BOOT) dev && $(PY) -m pytest tests/unit tests/components tests/contract $(ARGS)
check: ## lint, format and types
	$(BOOT) dev && .venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy
reference: ## regenerate the schema and the settings reference
	$(BOOT) dev && $(PY) -m components.settings.reference
lock: ## regenerate the lock files from the .in files
	$(BOOT) dev && $(PIN) requirements.in -o requirements.txt && $(PIN) requirements-dev.in -o requirements-dev.txt && $(PIN) offline/go-requirements.in -o offline/go-requirements.txt && $(PIN) policies/requirements.in -o policies/requirements.txt && $(PIN) tests/manifests/checkov-requirements.in -o tests/manifests/checkov-requirements.txt
outdated: ## show which pins have a newer version, and which registries can't be asked
	$(BOOT) dev && $(PY) .ci/outdated.py
bench: ## measure: make bench ARGS="docker --rounds 5"; .venv/bin/python -m benchmarks report FILE shows the tables
	$(BOOT) dev && $(PY) -m benchmarks run $(ARGS)
faults: ## kill verbs, damage files and run verbs at one time, an hour: make faults ARGS="--seed 7 --only kills --rounds 5"
	$(BOOT) dev && $(PY) -m setup docker && $(PY) -m tests.faults $(ARGS)
