"""The real worker around a stand-in for the pipeline, for tests of the protocol, the client and the panel.

Run as a script in place of ``python -m VertebralBMDLib.worker``. The environment variable STUB says what happens:
measure (default), slow, refuse, torch, crash, die, memory, card (a graphics card runs out of memory), chatter, hang (with a grandchild whose pid goes to STUB_PID), silent (hangs
before it is ready), settings (writes those that it was given). Where STUB_ONCE names a file, misbehaves only while it is there, and
removes it.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import SimpleITK as sitk  # noqa: E402

from VertebralBMDLib import worker  # noqa: E402
from VertebralBMDLib.quality import MESSAGES, Code, Refused  # noqa: E402

MODE = os.environ.get("STUB", "measure")


def measure_to_folder(scan, output, settings, progress, series_uid=None, scene=False):
    """Same signature as ``VertebralBMDLib.run.measure_to_folder``."""
    for stage in ("segmentation", "roi", "calibration", "measurement", "assessment"):
        for fraction in (0.0, 0.5, 1.0):
            progress(stage, fraction)
            time.sleep(0.15 if MODE == "slow" else 0)
        if stage == "segmentation":
            misbehave(settings)
    image = sitk.ReadImage(str(scan))
    found = levels(settings)
    write(output, image, found)
    content = document(found)
    if MODE == "settings":
        content["settings"] = worker.settings_to_json(settings)
    (output / "measurement.json").write_text(json.dumps(content), encoding="utf-8")
    return 3 if MODE == "refuse" else 0


def misbehave(settings):
    once = os.environ.get("STUB_ONCE")
    if once and not os.path.exists(once):
        return
    if once:
        os.remove(once)
    if MODE == "torch":
        raise Refused(Code.TORCH_MISSING)
    if MODE == "memory":
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 7 bytes")
    if MODE == "card" and settings.device == "auto":
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore.")
    if MODE == "crash":
        raise KeyError("Wirbelkörper")
    if MODE == "die":
        os._exit(7)
    if MODE == "chatter":
        print("a stray print")
        os.system("echo a stray child; cat")  # cat ends at once only if stdin is not the protocol's
    if MODE == "hang":
        hang()


def hang():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(os.environ["STUB_PID"]).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(60)


def levels(settings):
    return ["L1", "L2"] if settings is None else list(settings.levels)


def write(output, image, found):
    """Two boxes that fit into any test image of 20 x 24 x 28 voxels or more, and weights of a network that read them."""
    for name, margin in (("bodies", 0), ("roi", 2)):
        label_map = sitk.Image(image.GetSize(), sitk.sitkUInt8)
        label_map.CopyInformation(image)
        for index in range(len(found)):
            z = 4 + 9 * index
            label_map[6 + margin : 20 - margin, 4 + margin : 18 - margin, z + margin : z + 7 - margin] = 20 + index
        sitk.WriteImage(label_map, str(output / f"{name}.nii.gz"))
    if MODE != "refuse":
        weights = sitk.Image((8, 6, 9), sitk.sitkUInt8) + 60
        weights.SetSpacing((2.0, 2.0, 2.0))
        sitk.WriteImage(weights, str(output / "weights.nii.gz"))


def document(found):
    values = {"roi_mean_hu": 131.3, "roi_sd_hu": 38.2, "roi_volume_cm3": 9.9, "vbmd_roi_mg_cm3": 98.4, "vbmd_network_mg_cm3": 97.2}
    vertebrae = [
        dict(
            level=level,
            label=20 + i,
            complete=True,
            level_confidence=0.98,
            centroid_lps_mm=[0.0, 0.0, 10.0 * i],
            body_volume_cm3=31.0,
            flags=[],
            **values,
        )
        for i, level in enumerate(found)
    ]
    thresholds = dict(
        name="acr",
        title="ACR",
        quantity="trabecular_vbmd",
        osteoporosis_below_mg_cm3=80.0,
        normal_above_mg_cm3=120.0,
        population="post-menopausal women and elderly men",
        source="ACR",
        confidence="H",
        use="Category from the trabecular vBMD.",
    )
    patient = dict(
        levels=found, category="low_bone_mass", vbmd_mg_cm3=98.4, vbmd_source="roi", flags=[], refusals=[], thresholds=thresholds
    )
    line = dict(
        source="phantom",
        phantom="qrm-bdc3",
        material="CaHA",
        slope_mg_cm3_per_hu=0.8021,
        intercept_mg_cm3=-3.5,
        r_squared=0.9994,
        rmse_mg_cm3=0.8,
        checks=[],
    )
    codes = []
    if MODE == "refuse":
        for vertebra in vertebrae:
            del vertebra["vbmd_roi_mg_cm3"], vertebra["vbmd_network_mg_cm3"]
        vertebrae[0]["flags"] = ["ROI_HETEROGENEOUS"]
        patient = dict(levels=found, category="withheld", flags=["NOT_CALIBRATED"], refusals=["CONTRAST"], thresholds=thresholds)
        line, codes = dict(source="none", material=None, checks=[]), ["CONTRAST", "NOT_CALIBRATED", "ROI_HETEROGENEOUS"]
    messages = {code: str(MESSAGES[Code(code)]) for code in codes}
    return dict(
        schema="vertebral-bmd/1",
        calibration=line,
        vertebrae=vertebrae,
        patient=patient,
        settings=dict(levels=found, allow=[]),
        messages=messages,
    )


@dataclasses.dataclass
class Device:
    kind: str
    name: str
    fallback: str


def probed_device(wanted):
    return Device("cuda", "Testcard 7", "") if MODE == "card" else Device("cpu", "", "")


if __name__ == "__main__":
    if MODE == "silent":
        hang()
    sys.modules["VertebralBMDLib.run"] = types.SimpleNamespace(measure_to_folder=measure_to_folder)
    sys.modules["VertebralBMDLib.network.models"] = types.SimpleNamespace(probed_device=probed_device)
    worker.main()
