"""The real worker behind the client and the panel: nothing stands in for the pipeline here."""

import sys

import numpy as np
import pytest
import SimpleITK as sitk
from panel_tools import wait_for

from VertebralBMDLib.measurement_run import MeasurementRun
from VertebralBMDLib.report import words
from VertebralBMDLib.run_progress import RunProgress
from VertebralBMDLib.scan import checked
from VertebralBMDLib.settings import Settings
from VertebralBMDLib.simulation.patient import PatientSpec, simulate_patient
from VertebralBMDLib.worker_client import Worker


def events_of(run, seconds=240):
    """Every event of a run until its end."""
    events = []
    wait_for(lambda: events.extend(run.poll()) or (events and events[-1]["event"] in ("done", "error")), seconds)
    return events


def test_worker_measures_a_simulated_patient_with_given_bodies(slicer, tmp_path):
    from VertebralBMDLib import scene

    patient = simulate_patient(PatientSpec(seed=1, spacing_mm=(1.2, 1.2, 2.5), levels=("T11", "L4")))
    sitk.WriteImage(patient.bodies, str(tmp_path / "bödies.nii.gz"))
    scan = checked(patient.image)
    worker = Worker()
    run = MeasurementRun(worker, lambda: scan, Settings(bodies=tmp_path / "bödies.nii.gz"))
    events = events_of(run)
    assert events[-1]["event"] == "done", events[-1]
    assert [event["fallback"] for event in events if event["event"] == "device"] == [""]
    progress, percents = RunProgress(), []
    for event in events:
        if event["event"] == "progress":
            progress.update(event)
            percents.append(progress.percent)
    assert percents == sorted(percents) and percents[-1] == 100
    document, bodies, roi, weights = run.result
    run.close()
    worker.close()
    assert [vertebra["level"] for vertebra in words.measured(document)] == ["L1", "L2"]
    inside = sitk.GetArrayViewFromImage(roi)
    assert (inside == 20).sum() > 100 and np.all(sitk.GetArrayViewFromImage(bodies)[inside > 0] == inside[inside > 0])
    assert sitk.GetArrayViewFromImage(weights).max() == 100
    volume = scene.add_volume(slicer.mrmlScene, scan, "patient")
    segmentation, table = scene.show_measurement(volume, document, bodies, roi)
    names = [segmentation.GetSegmentation().GetNthSegment(i).GetName() for i in range(segmentation.GetSegmentation().GetNumberOfSegments())]
    assert {"L1 body", "L2 body", "L1 ROI", "L2 ROI"} <= set(names) and table.GetNumberOfRows() == 2


def test_self_test_of_the_module(panel):
    """What Slicer runs as the module's self-test, bundled network included."""
    pytest.importorskip("torch")
    case = sys.modules["VertebralBMD"].VertebralBMDTest("test_simulatedPatient")
    case.setUp()
    case.test_simulatedPatient()
