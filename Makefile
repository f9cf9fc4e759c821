# Needs make and Python 3.11+. The rest is installed into $(VENV) by the first target that needs it.

SCALE ?= digits
ROWS ?= core
SEEDS ?= 1
WHERE ?= local
FRESH ?=
JOBS ?=
ARGS ?=
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3)
PY := $(VENV)/bin/python

KNOWN := SCALE ROWS SEEDS WHERE FRESH JOBS ARGS VENV PYTHON
# Read by the programs or by make itself, so make's command line may hold them, too.
OTHERS := $(foreach f,MODELS WEIGHTS ROUTERS LATENTS CLOTHES GOLDEN,HARMONICA_$f) MAKEFLAGS SHELL
given := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $v))),$v))
unknown := $(filter-out $(KNOWN) $(OTHERS),$(given))
$(if $(unknown),$(error $(firstword $(unknown)) is unknown; choose one of: $(KNOWN); variables of the environment stand before make))

one_of = $(if $(filter 1,$(words $($1))),$(if $(filter $2,$($1)),,$(bad)),$(bad))
bad = $(error $1=$($1) is unknown; choose one of: $2)
$(call one_of,SCALE,digits clothes paper smoke)
$(call one_of,ROWS,core all no-images)
$(call one_of,WHERE,local slurm)
$(if $(FRESH),$(call one_of,FRESH,0 1))

options = --scale $(SCALE) --rows $(ROWS) --seeds $(SEEDS)
run = $(PY) -m experiments run $1 $(options) --where $(WHERE) $(if $(filter 1,$(FRESH)),--fresh) $(if $(JOBS),--jobs $(JOBS)) \
	$(if $(filter slurm,$(WHERE)),--table $2) $(ARGS)
# Where runs are only listed there is no table yet; on a cluster it is a job of its own, after all others.
table = $(if $(filter slurm,$(WHERE))$(filter --dry-run --status,$(ARGS)),,$(PY) -m analysis $1 $(options))

ABLATIONS := $(patsubst experiments/%/config.py,%,$(wildcard experiments/ablation_*/config.py))

.PHONY: help install test test-slurm reproduce-table1 reproduce-table2 reproduce-uvit reproduce-frontier reproduce-compression reproduce-ablations base-models paper publish bench clean

help: ## list the targets and variables
	@sed -n 's/^\([a-z0-9-]*\):.* ## /\1|/p' Makefile | awk -F'|' '{ printf "  %-20s %s\n", $$1, $$2 }'
	@echo
	@echo "  SCALE=$(SCALE)   digits: CPU, minutes; clothes: CPU, about an hour; paper: published models, GPUs; smoke: a minute, untrained models, for tests"
	@echo "  ROWS=$(ROWS)      core: the main rows; all: every row; no-images: the core rows of Table 1"
	@echo "                 that need no training images (SCALE=paper)"
	@echo "  SEEDS=$(SEEDS)        how many replicates, each with its own base model, router and noise (3 include those of 1)"
	@echo "  WHERE=$(WHERE)    local: on this machine; slurm: as Slurm jobs"
	@echo "  FRESH=$(FRESH)         1: measure everything again, in a new local set"
	@echo "  JOBS=$(JOBS)          how many processes run at a time (unset: as many as the machine allows)"
	@echo "  ARGS=$(ARGS)          further options, e.g. --dry-run, --status"
	@echo "  VENV=$(VENV)     another environment, e.g. VENV=\$$CONDA_PREFIX; PYTHON: the Python that creates it"

install: ## create or update .venv (several GB of downloads, once); done by every target below
	@$(PYTHON) tools/install.py $(VENV)

test: install ## all tests but Slurm's; needs no network
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(PY) -m pytest -n auto -m "not slurm"

test-slurm: install ## tests against a running Slurm (tools/local_cluster up)
	$(PY) -m pytest -m slurm

reproduce-table1: install ## class-conditional generation: run what is missing, print the table
	$(call run,dit_xl2_256 dit_xl2_512,table1)
	$(call table,table1)

reproduce-table2: install ## text-to-image: run what is missing, print the table
	$(call run,pixart_alpha pixart_sigma,table2)
	$(call table,table2)

reproduce-uvit: install ## U-ViT, the third family of models: run what is missing, print the table
	$(call run,uvit,uvit)
	$(call table,uvit)

reproduce-frontier: install ## error against compute, our search beside all other methods: run what is missing, print the table
	$(call run,frontier,frontier)
	$(call table,frontier)

reproduce-compression: install ## caching against and with quantised and pruned models: run what is missing, print the tables
	$(call run,compression quantisation,compression)
	$(call table,compression)

reproduce-ablations: install ## what each idea contributes: run what is missing, print the tables
	$(call run,$(ABLATIONS),ablations)
	$(call table,ablations)

base-models: install ## train the base models of a small scale (digits, clothes) that ship with the package
	$(PY) -m harmonica base-models --scale $(SCALE) $(ARGS)

paper: install ## render tables, figures and notebooks from the records in results/
	$(PY) -m analysis paper

publish: install ## copy this clone's finished records from results/local/ to results/
	$(PY) -m analysis publish

bench: install ## measure speeds of the forward, cached sampling and training, with nothing else running: about 15 minutes
	$(PY) -m harmonica.bench $(ARGS)

clean: ## remove .venv and caches; results/ stays
	rm -rf .venv .pytest_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
