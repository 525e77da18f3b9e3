"""The diagnostics help, and name no patient, folder or file."""

import pytest

from VertebralBMDLib import __version__
from VertebralBMDLib.diagnostics import device_sentence, diagnostics, without_paths

TRACEBACK = """Traceback (most recent call last):
  File "/home/jo müller/Slicer 5.13/VertebralBMDLib/run.py", line 41, in measure_to_folder
    loaded = load(scan, series_uid)
RuntimeError: Exception thrown: Could not open /data/Müller Anna/1950-01-02 CT.nrrd for reading
OSError: [Errno 2] No such file or directory: 'D:\\\\Kliniken\\\\Müller^Anna\\\\roi.nrrd'
see C:\\Users\\anna müller\\scan.nrrd
vBMD 98.4 mg/cm³ at 0.5/0.7 on cpu/cuda
"""


def test_names_of_files_and_folders_are_left_out_and_the_rest_stays():
    text = without_paths(TRACEBACK)
    for name in ("müller", "Müller", "Anna", "anna", "1950", "home", "Kliniken", "Users", "nrrd"):
        assert name not in text, name
    for kept in (
        'File "run.py", line 41, in measure_to_folder',
        "Could not open (path)",
        "No such file or directory: (path)",
        "98.4 mg/cm³",
        "0.5/0.7 on cpu/cuda",
    ):
        assert kept in text, kept


def test_the_report_says_versions_device_stage_message_and_log():
    device = dict(event="device", kind="cpu", name="RTX A4000", fallback="CUDA out of memory")
    text = diagnostics("Slicer 5.13.0, Qt 5.15.2", device, "Finding the vertebrae…", "It failed for /data/x", TRACEBACK)
    for part in (
        f"VertebralBMD {__version__}, Slicer 5.13.0, Qt 5.15.2, Python 3",
        "SimpleITK",
        "RTX A4000",
        "Finding the vertebrae…",
        "(path)",
        "line 41",
    ):
        assert part in text, part
    assert "Müller" not in text and "/data/x" not in text
    assert "not tried yet" in diagnostics("Slicer", None, "", "", "") and "(empty)" in diagnostics("Slicer", None, "", "", "")


@pytest.mark.parametrize(
    ("kind", "name", "fallback", "words"),
    [
        ("cpu", "", "", "Processor (CPU)"),
        ("cuda", "RTX", "", "Graphics card RTX"),
        ("cpu", "RTX", "no kernel image", "Processor (CPU), because the graphics card RTX failed: no kernel image"),
        ("cpu", "", "out of memory", "Processor (CPU), because the graphics card failed: out of memory"),
    ],
)
def test_the_device_in_words(kind, name, fallback, words):
    assert device_sentence(dict(kind=kind, name=name, fallback=fallback)) == words
