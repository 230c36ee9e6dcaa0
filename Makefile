# Every target may be run again at any time.  CI runs `make test`.
PYTHON = /usr/bin/python3
CLUSTER = $(PYTHON) tests/cluster/cluster.py

.PHONY: help quickstart test unit shim slurm cluster cluster-down cluster-status clean docs format

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 26

quickstart: ## (root) set up everything and run a container step as alice
	./quickstart

test: ## (root) bring up what is needed, run all tiers, print a summary
	./tests/run

unit: ## pure functions: no root, no daemon
	./tests/run unit

shim: ## (root) the C shim against a stub of Slurm
	./tests/run shim

slurm: ## (root) real Slurm and real Docker on the test cluster
	./tests/run slurm

cluster: ## (root) start the cluster: two slurmd nodes, Docker, a registry
	$(CLUSTER) up

cluster-status: ## (root) what of the cluster runs
	$(CLUSTER) status

cluster-down: ## (root) stop the cluster; configuration, images and caches stay
	$(CLUSTER) down

clean: ## (root) stop the cluster and remove all that it, the build and the tests made
	$(CLUSTER) clean
	rm -rf build socker.egg-info .venv .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

docs: ## generate the configuration reference and the man page
	.venv/bin/python docs/developer/generate.py
	.venv/bin/python docs/developer/manpage.py

format: ## format the Python sources
	.venv/bin/ruff format . && .venv/bin/ruff check --fix .
