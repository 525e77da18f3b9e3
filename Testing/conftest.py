"""What many tests share: one simulated patient with a phantom, its measurement, and small scans for the loader."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

# Helpers beside the tests; importlib mode leaves sys.path alone.
sys.path += [str(Path(__file__).parent / "report"), str(Path(__file__).parent / "calibration")]

from VertebralBMDLib.pipeline import Measurement, measure
from VertebralBMDLib.scan import Acquisition, Scan, checked  # noqa: E402
from VertebralBMDLib.settings import Settings  # noqa: E402
from VertebralBMDLib.simulation.patient import PatientSpec, SimulatedPatient, simulate_patient  # noqa: E402
from VertebralBMDLib.simulation.scanner import TYPICAL  # noqa: E402

SPEC = PatientSpec(
    seed=5,
    vbmd=105.0,
    spacing_mm=(1.2, 1.2, 3.0),
    levels=("T11", "S1"),
    phantom="qrm-bdc3",
    scanner=replace(TYPICAL, slope_error=0.03, intercept_hu=4.0),
)


@pytest.fixture(scope="session")
def patient() -> SimulatedPatient:
    """T11 to the sacrum on a QRM-BDC/3, by a scanner that reads 3 % too high."""
    return simulate_patient(SPEC)


@pytest.fixture(scope="session")
def enhanced_patient() -> SimulatedPatient:
    """The same person, T12 to L3, with contrast medium in the portal phase."""
    return simulate_patient(replace(SPEC, contrast="portal", levels=("T12", "L3")))


@pytest.fixture(scope="session")
def scan(patient) -> Scan:
    return checked(patient.image, Acquisition(kvp=120.0, kernel="STANDARD", slice_thickness_mm=3.0))


@pytest.fixture(scope="session")
def patient_files(patient, tmp_path_factory) -> Path:
    """A folder with scan.nii.gz and bodies.nii.gz (the truth) of the patient; its name has spaces and letters beyond ASCII."""
    folder = tmp_path_factory.mktemp("patient") / "Wirbelsäule Ω 1"
    folder.mkdir()
    sitk.WriteImage(patient.image, str(folder / "scan.nii.gz"))
    sitk.WriteImage(patient.bodies, str(folder / "bodies.nii.gz"), useCompression=True)
    return folder


@pytest.fixture(scope="session")
def measured(scan) -> Measurement:
    """The patient, measured with the default settings on the processor."""
    return measure(scan, Settings(device="cpu"))


@pytest.fixture(scope="session")
def bodies(patient_files) -> Path:
    """The patient's true bodies."""
    return patient_files / "bodies.nii.gz"


@pytest.fixture(scope="session")
def own(scan, bodies) -> Measurement:
    """The patient measured on the true bodies."""
    return measure(scan, Settings(device="cpu", bodies=bodies))


@pytest.fixture
def body_like() -> sitk.Image:
    """A small image that passes for a CT in HU, every voxel different: 14 x 12 x 10 voxels of 0.9 x 0.9 x 2 mm."""
    voxels = np.random.default_rng(1).normal(-20, 80, (10, 12, 14)).round().astype(np.int16)
    voxels[5, 6, 7] = 700
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.9, 0.9, 2.0))
    image.SetOrigin((-5.5, 12.25, 700.0))
    return image


@pytest.fixture
def mrml():
    """A scene that can read .mrb files, which needs what the application otherwise provides."""
    slicer = pytest.importorskip("slicer")
    scene = slicer.vtkMRMLScene()
    slicer.vtkSlicerSegmentationsModuleLogic().SetMRMLScene(scene)
    return scene
