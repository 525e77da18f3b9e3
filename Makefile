# make demo and make test work on a fresh machine with Python >= 3.10; both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test setup lock screenshots benchmark clean

demo: setup
	$(BIN)/vertebral-bmd demo --output demo-output

test: setup
	QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@echo "Setting up .venv (once; PyTorch is large) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -e .
	touch $@

# The locked versions for Python 3.10 and later. PyTorch's CUDA libraries are left to PyTorch itself.
lock:
	echo "torch==2.13.0" | uv pip compile pyproject.toml --extra slicer --extra train --extra evaluate --extra test -c - --universal --python-version 3.10 --no-header --no-annotate -q \
	  | grep -Ev '^(nvidia-|cuda-|triton)' > requirements.lock

screenshots: setup
	QT_QPA_PLATFORM=offscreen $(BIN)/python Testing/slicer_host/screenshot.py Resources/Screenshots VertebralBMD/Resources/Icons

benchmark: setup
	$(BIN)/python Testing/benchmarks/measure_time.py
	QT_QPA_PLATFORM=offscreen $(BIN)/python Testing/benchmarks/panel_time.py
	$(BIN)/python Testing/benchmarks/segmentation_accuracy.py
	$(BIN)/python Testing/benchmarks/segmentation_simulated.py
	$(BIN)/python Testing/benchmarks/segmentation_time.py
	$(BIN)/python Testing/benchmarks/simulated_agreement.py
	$(BIN)/python Testing/benchmarks/density_results.py
	$(BIN)/python Testing/benchmarks/density_response.py
	$(BIN)/python Testing/benchmarks/density_time.py
	QT_QPA_PLATFORM=offscreen $(BIN)/python Testing/benchmarks/roi_edit_time.py
	$(BIN)/python Testing/benchmarks/phantom_detection.py
	$(BIN)/python Testing/benchmarks/roi_agreement.py
	$(BIN)/python Testing/benchmarks/tissue_calibration.py
	$(BIN)/python Testing/benchmarks/body_quality.py
	$(BIN)/python Testing/benchmarks/simulation_time.py
	$(BIN)/python Testing/benchmarks/simulation_realism.py
	$(BIN)/python Testing/benchmarks/simulation_physics.py

clean:
	rm -rf .venv demo-output
