# make demo   the main job on data that comes with the package
# make test   the whole test suite, a process for each core
# make test-loggers  the tests that need TensorBoard, MLflow and Weights & Biases, in an environment of their own
# make check  format, lint and types
# make clean  removes the virtual environment and every cache; runs/ stays

VENV := .venv
BIN := $(VENV)/bin
PYTHONS := python3.11 python3
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
DEMO := train digits --run runs/demo --overwrite

CREATED := $(VENV)/.created
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
PINS := pyproject.toml constraints.txt

.PHONY: demo test test-loggers check format clean
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	$(BIN)/nelbo $(DEMO)

test: $(INSTALLED_DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

# An environment of its own on top of the other: 45 packages that no other test needs.
test-loggers: $(INSTALLED_DEV)
	$(BIN)/python -m venv $(VENV)-loggers
	echo "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
		> "$$($(VENV)-loggers/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nelbo.pth"
	$(VENV)-loggers/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[tensorboard,mlflow,wandb]'
	NELBO_REQUIRE_LOGGERS=1 OMP_NUM_THREADS=1 $(VENV)-loggers/bin/python -m pytest -m loggers $(PYTEST_ARGS)

check: $(INSTALLED_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict src

format: $(INSTALLED_DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(VENV)-loggers build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The first candidate that runs and is new enough: a name on the PATH may be a stub that starts nothing.
$(CREATED):
	@for python in $(PYTHONS); do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			echo "creating $(VENV) with $$($$python --version)"; \
			$$python -m venv $(VENV) && touch $@; \
			exit; \
		fi; \
	done; \
	echo "error: nelbo needs Python 3.11 or later, and none of '$(PYTHONS)' is; install one, or name it: make PYTHONS=/path/to/python" >&2; \
	exit 2

$(INSTALLED): $(CREATED) $(PINS)
	$(PIP_INSTALL) -e .
	@touch $@

$(INSTALLED_DEV): $(CREATED) $(PINS)
	$(PIP_INSTALL) -e '.[dev]'
	@touch $(INSTALLED) $@
