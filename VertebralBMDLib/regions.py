"""The wanted vertebrae cut out of the scan, each with its ROI: what the stages after the segmentation work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .densitometry import Heights, heights
from .quality import Code
from .roi.axes import body_axes, superior_axes
from .roi.erosion import fine_body
from .roi.findings import Bone, bone_of, common_bone
from .roi.region import Roi, RoiRules, core, trabecular_roi
from .scan import Scan
from .segmentation.own import read_label_map
from .segmentation.vertebrae import Vertebra, Vertebrae
from .settings import Settings

_SMALLEST_ROI_CM3 = 1.0

#: So many vertebrae, the nearest with the body itself, say what a patient's bone is like.
_COMPARED = 5

Place = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Region:
    """One vertebra cut out of the scan: HU and masks of shape (z, y, x) at ``place`` in the scan's array.

    ``up``, ``forward``: unit vectors (LPS) of the body's own axes to cranial and anterior.
    """

    vertebra: Vertebra
    place: Place
    hu: np.ndarray
    body: np.ndarray
    roi: Roi
    centre_lps_mm: np.ndarray
    up: np.ndarray
    forward: np.ndarray
    edited: bool


def regions_of(scan: Scan, vertebrae: Vertebrae, settings: Settings, levels: Sequence[str]) -> tuple[list[Region], dict[str, Code]]:
    """Those of ``levels`` that can be measured, and why the others cannot.

    An edited ROI (``settings.roi``) is taken as it was painted: no rule removes anything from it.
    """
    labels = sitk.GetArrayViewFromImage(vertebrae.label_map)
    edited = sitk.GetArrayFromImage(read_label_map(settings.roi, scan.image, part=True)) if settings.roi else None
    painted = frozenset((levels if settings.roi_levels is None else settings.roi_levels) if settings.roi else ())
    cut = _Cut(scan, vertebrae, _boxes(labels), {} if edited is None else _boxes(edited), edited, painted)
    rules = RoiRules(settings.erosion_mm, settings.erosion_shape, settings.region, settings.central_fraction)
    found = {level: vertebrae.get(level) for level in levels}
    whole = [level for level, vertebra in found.items() if vertebra is not None and vertebra.refusal is None]
    usual = _usual_bones(cut, [level for level in whole if level not in painted])
    regions, missing = [], {}
    for level, vertebra in found.items():
        if level not in whole:
            missing[level] = Code.LEVEL_NOT_FOUND if vertebra is None else vertebra.refusal
            continue
        region = _region(cut, vertebra, rules, usual.get(level))
        unusable = _too_small(region, scan)
        if unusable is None:
            regions.append(region)
        else:
            missing[level] = unusable
    return regions, missing


def heights_of(vertebrae: Vertebrae) -> dict[str, Heights]:
    """Heights of every whole body along its own axes, by level."""
    boxes = _boxes(sitk.GetArrayViewFromImage(vertebrae.label_map))
    ups = _ups(vertebrae)
    found = {}
    for vertebra in vertebrae.bodies:
        if vertebra.refusal is None:
            place = _around([boxes[vertebra.label]], vertebrae.label_map.GetSize()[::-1])
            fine = fine_body(_body(vertebrae, vertebra.label, place), 0.0)
            axes = body_axes(fine.points_lps_mm(skin=True), ups[vertebra.level])
            up, forward = (axes.up, -axes.back) if axes else (ups[vertebra.level], _forward(ups[vertebra.level]))
            found[vertebra.level] = heights(fine.points_lps_mm(), up, forward)
    return found


@dataclass(frozen=True)
class _Cut:
    """The scan with the boxes of its bodies and of the edited ROIs, by label; ``painted``: the levels whose ROI was edited."""

    scan: Scan
    vertebrae: Vertebrae
    boxes: dict[int, Place]
    edited_boxes: dict[int, Place]
    edited: np.ndarray | None
    painted: frozenset[str]

    def body(self, label: int, place: Place) -> sitk.Image:
        return _body(self.vertebrae, label, place)

    def place(self, label: int) -> Place:
        """The box of a body and of its edited ROI with some voxels around it."""
        return _around([found[label] for found in (self.boxes, self.edited_boxes) if label in found], self.scan.hu.shape)

    def up(self, level: str) -> np.ndarray:
        return _ups(self.vertebrae)[level]

    def near(self, level: str) -> list[Vertebra]:
        """The whole bodies nearest to a level, itself among them."""
        whole = [body for body in self.vertebrae.bodies if body.refusal is None]
        order = [body.level for body in whole].index(level)
        return sorted(whole, key=lambda body: abs(whole.index(body) - order))[:_COMPARED]

    def bone(self, vertebra: Vertebra) -> Bone | None:
        """What the bone deep in a body is like, if there is enough of it."""
        place = self.place(vertebra.label)
        inside = core(self.body(vertebra.label, place), self.up(vertebra.level))
        enough = inside.sum() * self.scan.voxel_cm3 >= _SMALLEST_ROI_CM3
        return bone_of(self.scan.hu[place], inside, self.scan.spacing_mm[::-1]) if enough else None


def _usual_bones(cut: _Cut, levels: Sequence[str]) -> dict[str, Bone | None]:
    """Of each level, what the bone of the vertebrae around it and its own have in common."""
    near = {level: cut.near(level) for level in levels}
    bones = {body.level: cut.bone(body) for body in {body.level: body for bodies in near.values() for body in bodies}.values()}
    return {level: common_bone([bones[body.level] for body in bodies if bones[body.level]]) for level, bodies in near.items()}


def _region(cut: _Cut, vertebra: Vertebra, rules: RoiRules, usual: Bone | None) -> Region:
    """Cut one vertebra out of the scan and find its ROI, or take the edited one."""
    label, place, up = vertebra.label, cut.place(vertebra.label), cut.up(vertebra.level)
    image, hu = cut.body(label, place), cut.scan.hu[place]
    painted = vertebra.level in cut.painted
    if not painted:
        roi = trabecular_roi(image, up, rules, hu, usual)
    else:
        roi = replace(trabecular_roi(image, up, rules), roi=cut.edited[place] == label)
    if roi.axes is not None:
        up = roi.axes.up
    forward = -roi.axes.back if roi.axes is not None else _forward(up)
    body = sitk.GetArrayFromImage(image) > 0
    centre = _centre(cut.scan.image, place, roi.roi, body)
    return Region(vertebra, place, hu, body, roi, centre, up, forward, painted)


def _too_small(region: Region, scan: Scan) -> Code | None:
    """Why the ROI cannot be measured, if so."""
    volume, found = (float(mask.sum()) * scan.voxel_cm3 for mask in (region.roi.roi, _excluded(region.roi)))
    return Code.LESION if volume < _SMALLEST_ROI_CM3 <= found else too_small(volume)


def too_small(volume_cm3: float) -> Code | None:
    """Why an ROI of this volume cannot be measured, if so."""
    if volume_cm3 >= _SMALLEST_ROI_CM3:
        return None
    return Code.ROI_SMALL if volume_cm3 > 0 else Code.ROI_EMPTY


def _excluded(roi: Roi) -> np.ndarray:
    return np.zeros(roi.roi.shape, dtype=bool) if roi.excluded is None else roi.excluded


def _body(vertebrae: Vertebrae, label: int, place: Place) -> sitk.Image:
    """One body as a binary image of its part of the label map."""
    start, size = [s.start for s in place[::-1]], [s.stop - s.start for s in place[::-1]]
    return sitk.RegionOfInterest(vertebrae.label_map, size, start) == label


def _ups(vertebrae: Vertebrae) -> dict[str, np.ndarray]:
    """Unit vector (LPS) to cranial of each level, from the column."""
    bodies = vertebrae.bodies
    return dict(zip([body.level for body in bodies], superior_axes([body.centroid_lps_mm for body in bodies])))


def _around(boxes: Sequence[Place], shape: Sequence[int]) -> Place:
    """A box that holds ``boxes`` and two voxels around them."""
    low, high = (np.array([[getattr(part, end) for part in box] for box in boxes]) for end in ("start", "stop"))
    return tuple(slice(max(0, int(a) - 2), min(n, int(b) + 2)) for a, b, n in zip(low.min(axis=0), high.max(axis=0), shape))


def _forward(up: np.ndarray) -> np.ndarray:
    anterior = np.array([0.0, -1.0, 0.0])
    forward = anterior - (anterior @ up) * up
    return forward / np.linalg.norm(forward)


def _centre(image: sitk.Image, place: Place, roi: np.ndarray, body: np.ndarray) -> np.ndarray:
    """LPS mm of the middle of the ROI, or of the body where there is none."""
    middle = np.argwhere(roi if roi.any() else body).mean(axis=0) + [part.start for part in place]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(middle[::-1].tolist()))


def _boxes(labels: np.ndarray) -> dict[int, Place]:
    """Bounding box of every label of a (z, y, x) map; looks closely only at the part that is not empty."""
    used = [np.flatnonzero(labels.reshape(len(labels), -1).max(axis=1))]
    if not used[0].size:
        return {}
    slab = labels[used[0][0] : used[0][-1] + 1]
    flat = slab.max(axis=0)
    used += [np.flatnonzero(flat.max(axis=1)), np.flatnonzero(flat.max(axis=0))]
    low = [int(each[0]) for each in used]
    part = slab[:, low[1] : used[1][-1] + 1, low[2] : used[2][-1] + 1]
    boxes = ndimage.find_objects(part)
    return {
        label: tuple(slice(s.start + start, s.stop + start) for s, start in zip(box, low))
        for label, box in enumerate(boxes, start=1)
        if box is not None
    }
