"""Edited ROIs on their way to the network and back: the request of the worker, and the thread that makes it."""

import io
import json
import time

import numpy as np
import pytest
import report_case
import SimpleITK as sitk

from VertebralBMDLib import reading_run
from VertebralBMDLib.network.density import Beam, read_density
from VertebralBMDLib.reading_run import ReadingRun
from VertebralBMDLib.report.parts import network_entry
from VertebralBMDLib.worker import serve

CENTRE = (2.0, 0.0, 362.5)


@pytest.fixture(scope="module")
def image():
    return report_case.simulated()[0]


def served(request):
    """The last event of the worker for a request, in this process."""
    answers = io.StringIO()
    serve(io.StringIO(json.dumps(request) + "\n"), answers)
    return json.loads(answers.getvalue().splitlines()[-1])


def end_of(run, seconds=120):
    end = time.monotonic() + seconds
    while run.end() is None:
        assert time.monotonic() < end, "no answer"
        time.sleep(0.01)
    return run.end()


def test_the_worker_reads_a_part_of_the_scan_as_the_whole(image, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(reading_run.tempfile, "tempdir", str(tmp_path))
    beam = Beam(120.0, 0.8, 2.0)
    whole = network_entry(read_density(image, CENTRE, "cpu", beam))
    end = end_of(ReadingRun(served, {"L1": (image, CENTRE), "L2": (image, (2.0, 0.0, 330.0))}, beam, "cpu"))
    assert end["event"] == "done" and end["readings"]["L1"] == whole and end["readings"]["L2"] != whole
    assert list(tmp_path.iterdir()) == []


def test_what_goes_wrong_is_an_event_with_a_sentence(image):
    def dead(request):
        raise OSError("no such interpreter")

    assert "no such interpreter" in end_of(ReadingRun(dead, {"L1": (image, CENTRE)}))["message"]
    end = served(dict(command="remeasure", rois={"L1": dict(scan="/nowhere.nrrd", centre_lps_mm=CENTRE)}, device="cpu"))
    assert end["event"] == "error" and end["message"]


def test_the_request_names_the_voxels_and_the_centre(image):
    seen = []

    def answer(request):
        seen.append({level: (sitk.ReadImage(roi["scan"]), roi["centre_lps_mm"]) for level, roi in request["rois"].items()})
        return dict(event="done", readings={})

    end_of(ReadingRun(answer, {"L1": (image, CENTRE)}))
    read, centre = seen[0]["L1"]
    assert read.IsSameImageGeometryAs(image) and centre == list(CENTRE)
    assert np.array_equal(sitk.GetArrayViewFromImage(read), sitk.GetArrayViewFromImage(image))
