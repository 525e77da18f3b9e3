"""How the density network responds on the real scans of ../shared/data/ct, none of which has a measured density.

Mineral of a known amount is added to the trabecular bone of a real vertebra, with the blur of the scan: the reading has to move by
that amount. The same vertebra is read again with noise, other voxels, turned and shifted: the reading has to stay. L1 and L2 of one
person have to agree. It shows response and repeatability; nothing here says how close a reading is to the person's density.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from documents import parser, publish
from scipy import ndimage

from VertebralBMDLib.anatomy import LABELS
from VertebralBMDLib.grid import cropped_to, cube_grid, oriented
from VertebralBMDLib.loading import load
from VertebralBMDLib.network.density import Beam, nominal_slope, read_density
from VertebralBMDLib.regions import regions_of
from VertebralBMDLib.segmentation.engines import engine_for
from VertebralBMDLib.settings import Settings

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
#: Where contrast medium is in the blood the reading is no density, but its response can be looked at all the same.
SCANS = {"ACRIN-FLT-001": 140.0, "C3N-00249": 120.0, "CRLM-1004": 120.0, "TCGA-09-2043": 120.0, "TS-example": None}
LEVELS = ("L1", "L2", "L3")
ADDED_MG_CM3 = (-40.0, -20.0, 0.0, 20.0, 40.0, 60.0, 80.0)
#: Of the vertebral body: what lies this deep is trabecular; the SD of the blur of an ordinary scan.
DEPTH_MM, BLUR_MM = 1.5, 0.6
AROUND_MM = 150
ASKED_SLOPE, ASKED_CV, ASKED_DIFFERENCE = (0.95, 1.05), 1.5, 15.0


@dataclass(frozen=True)
class Vertebra:
    """A real vertebra: piece of its scan and of its body mask, centroid of its ROI, what is known of the beam."""

    scan: str
    level: str
    image: sitk.Image
    body: sitk.Image
    centre_lps_mm: np.ndarray
    beam: Beam

    def read(self, image: sitk.Image | None = None, shift_mm=(0.0, 0.0, 0.0)) -> float:
        """vBMD in mg/cm³ of the vertebra, in ``image`` if given, with the crop moved."""
        return read_density(image or self.image, np.asarray(self.centre_lps_mm) + shift_mm, "cpu", self.beam).vbmd_mg_cm3


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    options = arguments.parse_args()
    if not DATA.exists():
        raise SystemExit(f"{DATA} is absent: there is nothing to read.")
    found = [vertebra for scan in SCANS for vertebra in vertebrae(scan)]
    publish("density_response", table(found), options.write)


def vertebrae(name: str) -> list[Vertebra]:
    """The complete annotated vertebrae L1-L3 of a scan whose ROI can be had."""
    scan = load(DATA / f"CT_{name}.nii.gz")
    bodies = DATA / f"BODIES_{name}.nii.gz"
    engine = engine_for("bundled", bodies, "cpu", "verse")
    found = engine.segment(scan, lambda fraction: None)
    regions, _ = regions_of(scan, found, Settings(levels=LEVELS), LEVELS)
    beam = Beam(SCANS[name])
    made = []
    for region in regions:
        grid = cube_grid(region.centre_lps_mm, AROUND_MM, 1.0)
        body = sitk.Cast(oriented(found.label_map) == LABELS[region.vertebra.level], sitk.sitkUInt8)
        image = sitk.Cast(cropped_to(oriented(scan.image), grid), sitk.sitkFloat32)
        made.append(Vertebra(name, region.vertebra.level, image, cropped_to(body, grid), region.centre_lps_mm, beam))
    return made


def with_mineral(vertebra: Vertebra, mg_cm3: float) -> sitk.Image:
    """The scan with this much more CaHA in the trabecular bone of the vertebra."""
    body = sitk.GetArrayFromImage(vertebra.body) > 0
    spacing = np.array(vertebra.body.GetSpacing()[::-1])
    inner = ndimage.distance_transform_edt(body, spacing) > DEPTH_MM
    share = ndimage.gaussian_filter(inner.astype(np.float32), BLUR_MM / spacing)
    hu = sitk.GetArrayFromImage(vertebra.image) + share * mg_cm3 / nominal_slope(vertebra.beam.kvp or 120.0)
    return _like(hu, vertebra.image)


def again(vertebra: Vertebra) -> Iterator[tuple[str, float]]:
    """The same vertebra read again, changed in one way after the other."""
    rng = np.random.default_rng(1)
    yield "as it is", vertebra.read()
    hu = sitk.GetArrayFromImage(vertebra.image)
    for sd in (10.0, 20.0):
        yield f"noise of {sd:g} HU", vertebra.read(_like(hu + rng.normal(0.0, sd, hu.shape), vertebra.image))
    for spacing in (1.0, 2.0, 3.0):
        yield f"voxels of {spacing:g} mm", vertebra.read(_resampled(vertebra.image, spacing))
    for axis in range(3):
        for degrees in (-10.0, 10.0):
            yield f"turned {degrees:g}", vertebra.read(_turned(vertebra, axis, degrees))
    for axis in range(3):
        for step in (-2.0, 2.0):
            yield f"crop {step:g} mm off", vertebra.read(shift_mm=step * np.eye(3)[axis])


def _like(hu: np.ndarray, image: sitk.Image) -> sitk.Image:
    made = sitk.GetImageFromArray(hu.astype(np.float32))
    made.CopyInformation(image)
    return made


def _resampled(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    size = [max(1, int(n * s / spacing_mm)) for n, s in zip(image.GetSize(), image.GetSpacing())]
    return sitk.Resample(
        image, size, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), (spacing_mm,) * 3, image.GetDirection(), -1024.0
    )


def _turned(vertebra: Vertebra, axis: int, degrees: float) -> sitk.Image:
    turn = sitk.Euler3DTransform(np.asarray(vertebra.centre_lps_mm).tolist(), *(np.radians(degrees) * np.eye(3)[axis]).tolist())
    return sitk.Resample(vertebra.image, turn, sitk.sitkLinear, -1024.0)


def table(found: list[Vertebra]) -> str:
    """Response, repeatability and agreement, beside what was asked."""
    lines = [f"{'':22}{'reads':>8}{'slope':>8}{'CV %':>7}  mg/cm³ CaHA; added {ADDED_MG_CM3[0]:g} to {ADDED_MG_CM3[-1]:g}"]
    slopes, cvs, reads = [], [], {}
    for vertebra in found:
        response = [vertebra.read(with_mineral(vertebra, added)) for added in ADDED_MG_CM3]
        slopes.append(np.polyfit(ADDED_MG_CM3, response, 1)[0])
        values = np.array([value for _change, value in again(vertebra)])
        cvs.append(100.0 * values.std(ddof=1) / values.mean())
        reads.setdefault(vertebra.scan, {})[vertebra.level] = values[0]
        lines.append(f"{vertebra.scan + ' ' + vertebra.level:22}{values[0]:8.1f}{slopes[-1]:8.3f}{cvs[-1]:7.2f}")
    low, high = ASKED_SLOPE
    lines.append(f"slope {min(slopes):.3f} to {max(slopes):.3f}, mean {np.mean(slopes):.3f} (asked {low:g} to {high:g})")
    lines.append(f"CV {np.sqrt(np.mean(np.square(cvs))):.2f} % root mean square, worst {max(cvs):.2f} % (asked {ASKED_CV:g} %)")
    pairs = {scan: of["L1"] - of["L2"] for scan, of in reads.items() if {"L1", "L2"} <= set(of)}
    lines.append(f"L1 - L2: {', '.join(f'{scan} {value:+.1f}' for scan, value in pairs.items())} (asked within {ASKED_DIFFERENCE:g})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
