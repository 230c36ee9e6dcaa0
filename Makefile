# Every target may be run again at any time.  CI runs `make test`.
PYTHON = /usr/bin/python3
CLUSTER = $(PYTHON) tests/cluster/cluster.py
comma = ,

.PHONY: help quickstart test unit shim fuzz slurm soak test-vm bench bench-docs cluster cluster-down cluster-status clean docs format

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

fuzz: ## (root) look for inputs that break a parser, for FUZZ_SECONDS (600)
	./tests/run long-fuzz

slurm: ## (root) real Slurm and real Docker on the test cluster
	./tests/run slurm

bench: ## (root) measure on the test cluster, a table: ONLY=S4,S9 for a part, ROUNDS=5 to try
	$(PYTHON) tests/cluster/packages.py
	$(CLUSTER) up
	$(PYTHON) tests/bench/run.py $(ROUNDS:%=--rounds=%) $(subst $(comma), ,$(ONLY))

bench-docs: .venv-bench ## draw docs/performance.md, its table and figures, from what `make bench` found
	.venv-bench/bin/python tests/bench/report.py

.venv-bench: tests/bench/requirements.txt
	$(PYTHON) -m venv --clear $@
	$@/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

soak: ## (root) five minutes of a hundred steps at a time: does a node lose anything?
	SOAK_SECONDS=300 ./tests/run slurm -ktest_soak

test-vm: ## (root) the same on cgroup v2 and systemd, in VMs: RELEASES="trixie forky"
	RELEASES="$${RELEASES:-trixie forky}" ./tests/run vm

cluster: ## (root) start the cluster: two slurmd nodes, Docker, a registry
	$(CLUSTER) up

cluster-status: ## (root) what of the cluster runs
	$(CLUSTER) status

cluster-down: ## (root) stop the cluster; configuration, images and caches stay
	$(CLUSTER) down

clean: ## (root) stop the cluster and remove all that it, the build and the tests made
	$(CLUSTER) clean
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/socker/vm"
	rm -rf build socker.egg-info .venv .venv-bench .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

docs: ## generate the configuration reference, the man page and README's table of what was tested
	.venv/bin/python docs/developer/generate.py
	.venv/bin/python docs/developer/manpage.py
	.venv/bin/python tests/matrix.py

format: ## format the Python sources
	.venv/bin/ruff format . && .venv/bin/ruff check --fix .
