"""Vertebral bodies of simulated people beside every annotated body of the public scans in ../shared/data/ct.

Each is measured in the same way, as a mask on a 1 mm lattice along its own axes. Annotations in 3-5 mm slices are 1-2 mm
off at the endplates, so the heights of real bodies spread more than people do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from documents import parser, publish
from scipy import ndimage

from VertebralBMDLib.anatomy import LEVELS
from VertebralBMDLib.simulation.spine import make_spine

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ct"
SHOWN = ("T8", "T10", "T12", "L1", "L2", "L3", "L4", "L5")
AXES = tuple(np.arange(-half, half + 0.5, dtype=np.float32) for half in (40.0, 32.0, 28.0))
COLUMNS = ("volume cm3", "width", "depth", "rim width", "anterior", "middle", "posterior", "to next")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--people", type=int, default=30, help="simulated people of each sex")
    arguments.add_argument("--data", type=Path, default=DATA, help="folder with BODIES_*.nii.gz")
    options = arguments.parse_args()
    if not options.data.exists():
        raise SystemExit(f"{options.data} is absent: there is nothing to compare with.")
    real = [row for path in sorted(options.data.glob("BODIES_*.nii.gz")) for row in measured(path)]
    simulated = {sex: [row for seed in range(options.people) for row in drawn(seed, sex)] for sex in "FM"}
    lines = [
        f"mm unless said; real: lowest-highest, simulated: mean +- SD\n{'level':6}{'bodies':12}" + "".join(f"{c:>14}" for c in COLUMNS)
    ]
    for level in SHOWN:
        values = np.array([row for name, row in real if name == level])
        lines.append(f"{level:6}{f'{len(values)} real':12}" + "".join(f"{_span(column):>14}" for column in values.T))
        for sex, name in (("F", "women"), ("M", "men")):
            values = np.array([row for at, row in simulated[sex] if at == level])
            lines.append(f"{'':6}{name:12}" + "".join(f"{_spread(column):>14}" for column in values.T))
    publish("body_shapes", "\n".join(lines), options.write)


def _span(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f"{known.min():.1f}-{known.max():.1f}" if known.size else "-"


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.1f} +- {values.std():.1f}" if np.isfinite(values).all() else "-"


def measured(path: Path) -> list[tuple[str, np.ndarray]]:
    """(level, `dimensions` and distance to the next centre) of every complete body of a label map."""
    image = sitk.ReadImage(str(path))
    labels = sitk.GetArrayFromImage(image)
    centers = {}
    for value in np.unique(labels[labels > 0]):
        index = np.argwhere(labels == value).mean(axis=0)[::-1]
        centers[int(value) % 100] = np.array(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))
    rows = []
    for value, center in centers.items():
        if not (labels == value).any() or value not in LEVELS:
            continue  # cut by the border
        up = centers.get(value - 1, center) - centers.get(value + 1, center)
        step = np.linalg.norm(center - centers[value + 1]) if (labels == value + 1).any() else np.nan
        rows.append((LEVELS[value], np.append(dimensions(_resampled(image, labels == value, center, up)), step)))
    return rows


def _resampled(image: sitk.Image, mask: np.ndarray, center: np.ndarray, up: np.ndarray) -> np.ndarray:
    """The mask on the lattice (w, v, u) of a body with this centre and direction to cranial, by its distance map."""
    spacing = np.array(image.GetSpacing())
    part = tuple(slice(max(s.start - 4, 0), s.stop + 4) for s in ndimage.find_objects(mask.astype(np.uint8))[0])
    mask = np.pad(mask[part], 3)
    signed = ndimage.distance_transform_edt(mask, spacing[::-1]) - ndimage.distance_transform_edt(~mask, spacing[::-1])
    up = up / np.linalg.norm(up)
    left = np.array([1.0, 0.0, 0.0]) - up[0] * up
    left /= np.linalg.norm(left)
    frame = np.column_stack([left, np.cross(up, left), up])
    local = np.stack(np.meshgrid(*AXES, indexing="ij"), axis=-1).transpose(2, 1, 0, 3)
    world = local @ frame.T + center
    index = (world - image.GetOrigin()) @ np.array(image.GetDirection()).reshape(3, 3) / spacing
    index = index.transpose(3, 0, 1, 2)[::-1] - np.array([s.start - 3 for s in part]).reshape(3, 1, 1, 1)
    return ndimage.map_coordinates(ndimage.gaussian_filter(signed, 0.5), index, order=1, cval=-9.0) > 0


def drawn(seed: int, sex: str) -> list[tuple[str, np.ndarray]]:
    """The same of a simulated spine without findings."""
    spine = make_spine(np.random.default_rng(seed), sex)
    u, v, w = AXES[0][None, None, :], AXES[1][None, :, None], AXES[2][:, None, None]
    rows = []
    for level in SHOWN:
        body, at = spine.body(level), spine.index(level)
        below = spine.bodies[at + 1] if at + 1 < len(spine.bodies) else None
        step = np.nan if below is None else np.linalg.norm(body.frame.origin - below.frame.origin)
        rows.append((level, np.append(dimensions(body.surfaces(u, v, w)[0] < 0), step)))
    return rows


def dimensions(inside: np.ndarray) -> np.ndarray:
    """Volume (cm3), width and midline depth of the waist, width of the lower rim, midline heights (mm) of a mask (w, v, u)."""
    w, _, u = (int(round(c)) for c in np.argwhere(inside).mean(axis=0))
    depth = float(np.median(inside[w - 1 : w + 2, :, u - 2 : u + 3].sum(axis=1)))
    heights = np.median(inside[:, :, u - 3 : u + 4].sum(axis=0), axis=1)
    along = np.flatnonzero(heights > 5)
    front, back, part = along[0], along[-1], int(0.2 * len(along))
    middle = float(np.median(heights[front + 2 * part : back + 1 - 2 * part]))
    rim = inside[w - int(0.36 * middle)].any(axis=0).sum()
    return np.array(
        [
            inside.sum() / 1000.0,
            inside[w].any(axis=0).sum(),
            depth,
            rim,
            heights[front : front + part + 1].max(),
            middle,
            heights[back - part : back + 1].max(),
        ],
        float,
    )


if __name__ == "__main__":
    main()
