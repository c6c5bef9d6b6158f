# Needs python3 (3.10 or newer), git and make; everything else goes into $(VENV).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# More than cores: half of the time a test waits for a process or a disk.
WORKERS ?= 4

.PHONY: help test lint demo bench frameworks interop clean

help:
	@echo "make test    checks and tests"
	@echo "make demo    the whole story in one run"
	@echo "make bench   measurements beside MLflow"
	@echo "make frameworks PyTorch, Keras, Ray and Azure's library, which are large to install"
	@echo "make interop models and autologging beside the real MLflow"
	@echo "make clean   remove the virtual environment and what was built"

test: lint $(VENV)/.compiled
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

demo: $(VENV)/.demo $(VENV)/.compiled
	$(BIN)/python examples/demo.py

bench: $(VENV)/.bench
	$(BIN)/python benchmarks

interop: $(VENV)/.dev
	$(PYTHON) -m venv $(VENV)-mlflow
	$(VENV)-mlflow/bin/pip install --quiet mlflow lightgbm onnx onnxruntime scikit-learn xgboost-cpu
	GITML_TEST_MLFLOW=$(abspath $(VENV)-mlflow/bin/python) $(BIN)/python -m pytest tests/test_mlflow_interop.py

frameworks: $(VENV)/.dev
	$(PIP) install --editable '.[azureml,keras,pytorch,ray]' lightning
	$(BIN)/python -m pytest tests/test_flavor_keras.py tests/test_flavor_pytorch.py tests/test_projects_ray.py \
		tests/test_deploy_azureml.py

clean:
	rm -rf $(VENV) $(VENV)-mlflow build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "gitml needs Python 3.10 or newer: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m virtualenv --quiet $(VENV) \
		|| { rm -rf $(VENV); echo "$(PYTHON) can't create a virtual environment: install its venv" \
		"module (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@$(PIP) install --upgrade pip
	@touch $@

# A stamp for each set of packages: installed again when pyproject.toml changes.
$(VENV)/.%: pyproject.toml | $(VENV)/.python
	$(PIP) install --editable '.[$*]'
	@touch $@

# Where Python is told to write no bytecode, each of the many commands would compile all anew.
$(VENV)/.compiled: $(shell find gitml -name '*.py' 2>/dev/null) | $(VENV)/.python
	@$(BIN)/python -m compileall -q gitml
	@touch $@

# The packages for development hold all that the demo needs.
$(VENV)/.demo: pyproject.toml | $(VENV)/.python
	@test $(VENV)/.dev -nt pyproject.toml || $(PIP) install --editable '.[demo]'
	@touch $@
