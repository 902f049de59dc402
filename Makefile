# The commands of a checkout. `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
PYTEST_ARGS ?=
REPORTS ?=

# Nothing here should call home: ONNX Runtime's own wheels do unless told not to.
export ORT_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

bin := $(VENV)/bin
install := $(bin)/python -m pip install -qq --constraint constraints.txt
# An installation that is under way leaves this mark; where it is still there at the next start, that one was cut short.
unfinished := $(VENV)/.unfinished
# Whole: a Python that runs and is new enough, and every file of its pip.
is_whole := from importlib.metadata import files; import sys; \
	sys.exit(sys.version_info < (3, 11) or not all(f.locate().exists() for f in files("pip")))

# Tests with real sound have the machine to themselves. Where PYTEST_ARGS choose none of a part, pytest ends with 5.
pytest = $(bin)/python -m pytest -m "$(2)" $(if $(REPORTS),--junitxml="$(REPORTS)/$(1).xml")

.DEFAULT_GOAL := help
.PHONY: help demo test clean venv

help:
	@echo "make demo    install stemstream into $(VENV) and separate a composed song while it plays"
	@echo "             (ARGS=... are passed on, for instance ARGS='--pace fast')"
	@echo "make test    install it with everything that it is tested with, and check it"
	@echo "             (PYTEST_ARGS=... are passed on, for instance PYTEST_ARGS='-k latency'; REPORTS=DIR gets JUnit's files)"
	@echo "make clean   remove $(VENV), builds and caches"
	@echo "make help    this list"
	@echo "PYTHON=...   the Python to use, 3.11 or later (now: $(PYTHON))"

demo: venv
	@$(MAKE) --no-print-directory $(VENV)/.installed-base
	@$(bin)/stemstream demo $(ARGS)

test: venv
	@$(MAKE) --no-print-directory $(VENV)/.installed-dev
	@echo "ruff check" && $(bin)/ruff check --quiet .
	@echo "ruff format --check" && $(bin)/ruff format --quiet --check .
	@echo "mypy" && $(bin)/mypy
	@$(call pytest,others,not slow and not device) --numprocesses=auto $(PYTEST_ARGS) || [ $$? -eq 5 ]
	@$(call pytest,devices,not slow and device) $(PYTEST_ARGS) tests/devices || [ $$? -eq 5 ]

clean:
	@rm -rf "$(VENV)" build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +

# Installed for editing: a change of the code counts at once, one of the dependencies at the next `make`.
$(VENV)/.installed-base: pyproject.toml constraints.txt
	@echo "installing stemstream into $(VENV)"
	@touch "$(unfinished)"
	@$(install) --editable .
	@rm -f "$(unfinished)" && touch "$@"

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	@echo "installing stemstream and its test tools into $(VENV)"
	@touch "$(unfinished)"
	@$(install) --editable ".[all,dev]"
	@rm -f "$(unfinished)" && touch "$(VENV)/.installed-base" "$@"

venv:
	@if [ ! -e "$(unfinished)" ] && $(bin)/python -c '$(is_whole)' 2>/dev/null; then exit 0; fi; \
	if ! command -v "$(PYTHON)" >/dev/null; then \
		echo "$(PYTHON) was not found: install Python 3.11 or later, or name it: make PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	if ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "stemstream needs Python 3.11 or later and $(PYTHON) is $$("$(PYTHON)" -c 'import platform; print(platform.python_version())'): name another, as in: make PYTHON=python3.11" >&2; exit 1; \
	fi; \
	if ! "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$(PYTHON) cannot make virtual environments (it has no ensurepip): sudo apt install python3-venv" >&2; exit 1; \
	fi; \
	echo "making the virtual environment $(VENV)"; \
	"$(PYTHON)" -m venv --clear "$(VENV)"
