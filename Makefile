# Every command sets up what it needs in $(VENV) on a bare machine (Python 3.10 or newer with venv and pip),
# and does so again only when pyproject.toml or constraints.txt changed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt
export NO_MKDOCS_2_WARNING := 1

# Linux without an NVIDIA driver: the CPU build of torch, 0.2 GB in place of several GB of CUDA.
CPU_TORCH := https://download.pytorch.org/whl/cpu
TORCH_INDEX ?= $(shell [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && echo $(CPU_TORCH))

# Environments with other versions of the frameworks; all the rest comes from $(VENV).
MATRIX := $(VENV)/matrix
SITE := import sysconfig; print(sysconfig.get_path("purelib"))
# The oldest LlamaIndex looks for the data of its sentence splitter below this folder, and else in the network; the
# newest finds its own, unless it is told of another place.
LLAMA_INDEX := import importlib.util as u; print(u.find_spec("llama_index.core").submodule_search_locations[0])

# The embedded model.
RECIPE := fgr_retriever/training/default.yaml
OUT ?= runs/model
ifeq ($(filter model,$(MAKECMDGOALS))$(DATA),model)
$(error make model needs DATA=FOLDER, the folder that the files in $(RECIPE) are relative to)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test test-matrix test-portable check fix docs model clean

help:  ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo  ## Search and trim 200 passages with the embedded model
	$(BIN)/fgr demo

test: $(VENV)/.dev  ## Run the tests; ARGS="-k spans" passes options to pytest
	$(PYTEST) $(ARGS)

test-matrix: $(MATRIX)/lowest/.done $(MATRIX)/highest/.done  ## Run the tests of the adapters on the oldest and the newest frameworks
	for name in lowest highest; do \
		python=$(MATRIX)/$$name/bin/python; \
		$$python -m pip list --path $$($$python -c '$(SITE)') 2>/dev/null | grep -E '^(langchain|llama-index)' ; \
		unset NLTK_DATA; [ $$name = highest ] || export NLTK_DATA=$$($$python -c '$(LLAMA_INDEX)'); \
		$$python -m pytest tests/integrations $(ARGS) || exit 1; \
	done

# The least that torch, oneDNN and faiss can be told to use of a processor. Where bfloat16 is emulated, the embedded
# model would take an hour: the second run leaves it out.
test-portable: $(VENV)/.dev  ## Run the tests as on an old processor, in float32, then as on a new one, in bfloat16
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 FAISS_OPT_LEVEL=generic FGR_DTYPE=float32 $(PYTEST) $(ARGS)
	FGR_DTYPE=bfloat16 $(PYTEST) -m "not golden" $(ARGS)

check: $(VENV)/.dev  ## Run everything that must pass before a commit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict
	$(PYTEST) $(ARGS)

fix: $(VENV)/.dev  ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev  ## Build the documentation into site/
	$(BIN)/mkdocs build --strict

model: $(VENV)/.dev  ## Train the embedded model, DATA=folder OUT=folder; about 90 minutes on 2 cores
	$(BIN)/fgr train $(RECIPE) --data "$(DATA)" --out "$(OUT)"

clean:  ## Remove what was built, and the virtual environment
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Where these change, the package is installed again, which compiles the C code where there is a compiler.
BUILT_FROM := pyproject.toml hatch_build.py $(wildcard fgr_retriever/model/kernel/*.[ch])

# Torch alone, since only it is wanted from that index; what it needs comes with the next step.
$(VENV)/.torch: constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) --no-deps --retries 1 $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	touch $@

$(VENV)/.demo: $(BUILT_FROM) $(VENV)/.torch
	$(PIP) -e '.[cpu]'
	touch $@

$(VENV)/.dev: $(BUILT_FROM) $(VENV)/.torch
	$(PIP) -e '.[all,dev]'
	touch $@

$(MATRIX)/%/.done: tests/integrations/%.txt $(VENV)/.dev
	$(BIN)/python -m venv --clear --without-pip $(@D)
	printf '%s\n' "$$($(BIN)/python -c '$(SITE)')" $(CURDIR) $(CURDIR)/integrations > "$$($(@D)/bin/python -c '$(SITE)')/rest.pth"
	$(@D)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt --upgrade -r $<
	touch $@
