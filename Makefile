# One command each: `make paint`, `make test`. `make help` lists them all.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/installed
RUN := runs/first

.PHONY: help paint gallery test sync names lab bench
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

paint: $(READY)  ## train the first agent on the built-in birds and paint with it (minutes)
	@BIN=$(BIN) tools/paint.sh $(RUN)

gallery: $(READY)  ## build static pages of every painting under runs/, failed runs included
	@BIN=$(BIN) tools/gallery.sh runs/gallery

test: export MPLBACKEND := agg
test: export OMP_NUM_THREADS := 1
test: $(READY)  ## run every notebook at its smoke size, then the tests and guards
	@$(BIN)/python tools/test_notebooks.py
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

sync: $(READY)  ## after editing notebooks: clean them, export the modules, make the README
	@$(BIN)/python tools/outputs.py
	@$(BIN)/nbdev_clean
	@$(BIN)/nbdev_export
	@$(BIN)/python tools/readme.py

names: $(READY)  ## accept the public names as they now are (a reviewed change)
	@$(BIN)/python tools/public_names.py > tests/guards/public_names.txt

lab: $(READY)  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab nbs/index.ipynb

bench: $(READY)  ## measure again what benchmarks/ reports
	@for name in startup renderer run optimize explorers; do OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$name.py || exit 1; done

# The stamp is written last: an interrupted set-up is taken up again, a finished one is reused until the pins change.
$(READY): pins.txt pyproject.toml
	@tools/setup.sh $(VENV) "$(PYTHON)"
	@touch $@
