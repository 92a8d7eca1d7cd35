# make demo, make test: each does its own set-up first, in .venv.
#
# PYTHON      the Python that makes .venv, 3.11 or newer:     make test PYTHON=python3.12
# TORCH_ARGS  what pip installs as PyTorch, to choose a build: make demo TORCH_ARGS='torch==2.13.0 --index-url ...'
# SETUP=0     no .venv: run with PYTHON as it is:             make bench PYTHON=python3 SETUP=0
# ARGS        more arguments for the tool behind a target:    make test ARGS='-k verdict'

SHELL := /bin/bash
PYTHON ?= python3
TORCH_ARGS ?= torch==2.13.0
SETUP ?= 1
ARGS ?=
LAB_ARGS ?=

ifeq ($(SETUP),0)
READY :=
RUN := PYTHONPATH=$(CURDIR) $(PYTHON)
else
READY := .venv/.labkit-installed
RUN := .venv/bin/python
endif

.PHONY: help setup demo test test-gpu lab bench gallery class panel site-pictures axe lint format mutate parameters
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup: $(READY)  ## make .venv and install labkit in it

demo: $(READY)  ## run notebooks 00 to 05 headless and build outputs/report.html
	@$(RUN) -m tools.demo $(ARGS)

test: lint  ## check style, then run every test that this machine can run
	@echo "== tests"
	@$(RUN) -m pytest $(ARGS)

test-gpu: $(READY)  ## run the tests that need a CUDA device
	@LABKIT_GPU=1 $(RUN) -m pytest -m gpu $(ARGS)

lab: $(READY)  ## open JupyterLab on the notebooks
	@$(RUN) -m jupyterlab notebooks $(LAB_ARGS)

bench: $(READY)  ## measure against named peers and print tables; ARGS=training runs one part
	@$(RUN) -m benchmarks $(ARGS)

gallery: $(READY)  ## make the static site outputs/site; ARGS=--execute runs the notebooks anew for docs/executed first
	@$(RUN) -m tools.gallery $(ARGS)

class: $(READY)  ## 30 kernels run notebook 00 at once on this machine, and what they need; ARGS='--kernels 4'
	@$(RUN) -m tools.classroom $(ARGS)

panel: $(READY)  ## take the README's picture of the panel in a real browser
	@$(RUN) -m pytest -q tests/browser -k 'reload and 01'
	@$(RUN) -m tools.panel

site-pictures: $(READY)  ## take the README's pictures of the site in a real browser
	@$(RUN) -m pytest -q tests/browser/test_site_in_browser.py
	@$(RUN) -m tools.site.pictures

axe: $(READY)  ## try the panel by keys, by axe-core and on a projector in a real browser, and print what was tried
	@$(RUN) -m pytest -q tests/browser/test_accessible.py $(ARGS)
	@cat test-artefacts/axe-light.md test-artefacts/axe-dark.md

lint: $(READY)  ## check style and format
	@echo "== ruff check"
	@$(RUN) -m ruff check .
	@echo "== ruff format --check"
	@$(RUN) -m ruff format --check .

format: $(READY)  ## put style and format right
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

mutate: $(READY)  ## break the code on purpose, one line at a time: the tests must notice
	@$(RUN) -m tools.mutate $(ARGS)

parameters: $(READY)  ## write the parameters cell of each notebook from its experiment's Spec
	@$(RUN) -m tools.parameters

.venv/.labkit-installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "labkit needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>/dev/null || echo 'not here'). Name another: make PYTHON=python3.12" >&2; exit 2; }
	@test -x .venv/bin/pip || { echo "== .venv"; $(PYTHON) -m venv .venv; }
	@echo "== $(TORCH_ARGS)"
	@.venv/bin/python -m pip install --disable-pip-version-check $(TORCH_ARGS)
	@echo "== labkit and what it needs: a minute without a word"
	@.venv/bin/python -m pip install --disable-pip-version-check --quiet -e '.[test,queries]'
	@touch $@
