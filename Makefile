# Two commands matter: `make run` (the demo) and `make test` (the whole check).
# Both make their own environment in .venv from pinned, hashed constraints first.

# The first interpreter that really starts (a version manager's shim may not) and is new enough.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: run test hard bench peers peers-constraints evaluate environment sample constraints clean

run: environment
	$(BIN)/reconcile demo

test:
	bash .ci/run

# The long proofs: a year of nights, alone since its time is read; a thousand worlds; twenty kills of the whole job; every other test marked hard.
# A failure names the seed or point that repeats it.
hard: environment
	$(BIN)/pytest -m hard -s tests/hard/test_nights.py
	RECONCILIATION_WORLDS=1000 $(BIN)/pytest -n 2 tests/properties/test_laws.py
	RECONCILIATION_KILLS=20 $(BIN)/pytest tests/end_to_end/test_main_job.py
	$(BIN)/pytest -m hard -n 2 --ignore tests/hard/test_nights.py

bench: environment
	$(BIN)/python benchmarks/main_job.py --payments 50000 --runs 5

# What matching is measured beside, in an environment of its own; then: python benchmarks/peers.py
peers: .venv-peers/installed

.venv-peers/installed: benchmarks/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --require-hashes --no-deps -r benchmarks/peers.txt
	touch $@

peers-constraints:
	uv pip compile benchmarks/peers.in --universal --python-version 3.11 --generate-hashes --no-strip-extras \
		--no-emit-index-url --no-annotate --custom-compile-command "make peers-constraints" -o benchmarks/peers.txt

# Matches and classifier against the truth of the sample.
evaluate: environment
	$(BIN)/reconcile evaluate

# The sample company, anew from its seed.
sample: environment
	rm -rf data/sample
	$(BIN)/reconcile simulate --out data/sample --sample

environment: .venv/installed

# The stamp is written last, so that an interrupted installation is repeated and not trusted.
.venv/installed: constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none was found; install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --no-deps -r constraints.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf .venv .venv-peers data/demo .dagster

# Resolves the whole set again; needs `uv`. Hashes only: no address of any registry is written.
constraints:
	uv pip compile pyproject.toml --extra cluster --extra dev --universal --python-version 3.11 --generate-hashes --no-strip-extras \
		--no-emit-index-url --no-annotate --custom-compile-command "make constraints" -o constraints.txt
