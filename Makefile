# Overread: `make run` starts it, `make test` tests it, `make help` tells the rest.
SHELL := /bin/sh
ifndef PYTHON
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
	then echo $$python; break; fi; done)
endif
IN := .venv/bin/python
LOCK := $(IN) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help run demo test test-slow faults bench lint format translations lock clean environment environment-dev

help: ## tell what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20
	@echo "  PORT=8000 and OVERREAD_DATA=./var choose where; .env.example has every other setting"

environment:
	@test -n "$(PYTHON)" || { echo "Overread needs Python 3.11, 3.12 or 3.13, and none was found: install one (on Debian \`sudo apt install python3 python3-venv\`) or name one with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) portal/start/environment.py requirements.txt

environment-dev: environment
	@$(PYTHON) portal/start/environment.py requirements-dev.txt

run: environment ## start everything on this machine; Ctrl-C stops it (DEMO=1 makes demo people)
	@exec $(IN) -m portal.start

test: environment-dev ## run every test but the slow ones, on SQLite and on the real servers that answer
	@exec $(IN) -m tests.run

test-slow: environment-dev ## run the real fits that take minutes
	@exec $(IN) -m pytest -m slow

faults: environment-dev ## kill, lose and repeat for real; minutes
	@exec $(IN) -m pytest -m faults

bench: environment ## measure speed as ratios and write benchmarks/results.md; some minutes
	@exec $(IN) -m benchmarks --note "$(NOTE)"

lint: environment-dev ## ruff, mypy, import-linter, djangofmt, oxlint
	@$(IN) -m ruff check .
	@$(IN) -m mypy portal diagnostics mlcore celery_worker.py
	@$(IN) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"
	@.venv/bin/djangofmt --check --quiet templates
	@.venv/bin/djangofmt check --quiet templates
	@.venv/bin/oxlint --quiet static/js tests/viewer

format: environment-dev ## lay the code out with ruff, and the templates with djangofmt
	@$(IN) -m ruff format .
	@.venv/bin/djangofmt --quiet templates

translations: environment-dev ## bring the catalogues of translations up to date, and say what waits for words
	@$(IN) manage.py catalogues

lock: environment-dev ## write the requirement files with hashes from the .in files
	@$(LOCK) requirements.in -o requirements.txt
	@$(LOCK) requirements-dev.in -o requirements-dev.txt -c requirements.txt
	@$(LOCK) requirements-gpu.in -o requirements-gpu.txt -c requirements.txt
	@echo uv | $(LOCK) - -o requirements-uv.txt -c requirements-dev.txt

clean: ## remove what was made, but no data (./var stays)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -f portal/locale/*/LC_MESSAGES/*.mo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
