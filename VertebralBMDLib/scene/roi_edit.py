"""ROIs that the user edits: the numbers follow the segments, and every edit is marked and can be taken back.

An ROI is edited while its segment differs from what was measured (``roi_record``), so undoing an edit takes the mark away.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import SimpleITK as sitk
import slicer

from ..anatomy import label_of
from ..edits import OF_NETWORK, EditedRoi, after_edits, awaiting_network, edited_levels, with_network
from ..network.density import crop_grid
from .results import find_result, measurement_of, show_document
from .roi_masks import EMPTY, Mask, box_around, hounsfield, image_of, label_map_of, masks, segments, spacing_mm, stamps, to_lps, within
from .roi_record import followed, from_json, mark, measured_rois, set_followed
from .weights import set_weights_visible, weights_current

#: Voxels around the network's crop, more than resampling reads.
_MARGIN = 8


class RoiFollower:
    """Keeps the numbers of one volume's measurement in step with its ROI segments."""

    def __init__(self, volume_node):
        self.volume_node = volume_node
        self._seen: dict | None = None
        self._bodies: tuple[str, ...] = ()

    @property
    def edited_bodies(self) -> tuple[str, ...]:
        """The levels whose body was edited since the measurement: their ROI does not follow. As of the last ``follow``."""
        return self._bodies

    def follow(self) -> bool:
        """Bring document, table and marks in step with the segments; True when a number may have changed.

        The map of what the network weighs is hidden where it was read around other ROIs.
        Reads only what changed since the last call. Raises ValueError for a segmentation under another transform than its
        volume. Does nothing for a volume without a measurement, or one from before ROIs were remembered.
        """
        segmentation_node = find_result(self.volume_node, "vtkMRMLSegmentationNode")
        seen = stamps(segmentation_node) if segmentation_node else None
        if seen == self._seen:
            return False
        document, table_node = measurement_of(self.volume_node)
        measured = measured_rois(table_node) if table_node else None
        if measured is None or segmentation_node is None:
            return False
        self._look_at_bodies(segmentation_node, measured, seen)
        self._seen = seen
        current = masks(segmentation_node, self.volume_node, "ROI")
        current = {level: current.get(level, EMPTY) for level in measured["rois"]}
        digests = {level: mask.digest for level, mask in current.items()}
        before = followed_rois(self.volume_node)
        changed = digests != before
        if changed:
            document = _kept_readings(self._document(measured, current), document, [k for k in digests if digests[k] == before.get(k)])
            set_followed(table_node, digests)
            show_document(table_node, document)
            if not weights_current(self.volume_node):
                set_weights_visible(self.volume_node, False)
        mark(segmentation_node, edited_levels(document))
        return changed

    def _look_at_bodies(self, segmentation_node, measured: dict, seen: dict) -> None:
        identifiers = segments(segmentation_node, "body").values()
        if self._seen is None or any(seen.get(each) != self._seen.get(each) for each in identifiers):
            found = {level: mask.digest for level, mask in masks(segmentation_node, self.volume_node, "body").items()}
            self._bodies = tuple(level for level, digest in measured["bodies"].items() if found.get(level, "") != digest)

    def _document(self, measured: dict, current: dict[str, Mask]) -> dict:
        """The document of the measurement with the ROIs that differ from it."""
        bodies = masks(find_result(self.volume_node, "vtkMRMLSegmentationNode"), self.volume_node, "body")
        edited = {}
        for level, mask in current.items():
            if mask.digest != from_json(measured["rois"][level]).digest:
                body = within(bodies.get(level, EMPTY), mask.place)
                edited[level] = EditedRoi(hounsfield(self.volume_node)[mask.place], mask.inside, body, spacing_mm(self.volume_node))
        return after_edits(measured["document"], edited)


def reset_roi(volume_node, level: str) -> bool:
    """Put the ROI of a level back as it was measured; ``RoiFollower.follow`` then finds it so.

    False, and nothing done, where the automatic ROI is not known: the measurement took an edited one, or the segment is gone.
    """
    _document, table_node = measurement_of(volume_node)
    measured = measured_rois(table_node)
    segmentation_node = find_result(volume_node, "vtkMRMLSegmentationNode")
    identifier = segments(segmentation_node, "ROI").get(level)
    if measured is None or level in edited_levels(measured["document"]) or level not in measured["rois"] or identifier is None:
        return False
    label_map = label_map_of(from_json(measured["rois"][level]), volume_node)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    return logic.SetBinaryLabelmapToSegment(label_map, segmentation_node, identifier, logic.MODE_REPLACE)


def edited_rois(volume_node, without: Collection[str] = ()) -> tuple[sitk.Image, tuple[str, ...]] | None:
    """The edited ROIs for ``Settings.roi`` and ``roi_levels``: a label map (VerSe numbers) of a part of the scan, and its levels.

    ``without``: levels that shall be automatic again. None where no ROI was edited.
    """
    document, _table_node = measurement_of(volume_node)
    levels = tuple(level for level in edited_levels(document) if level not in without) if document else ()
    if not levels:
        return None
    found = masks(find_result(volume_node, "vtkMRMLSegmentationNode"), volume_node, "ROI")
    painted = {level: found[level] for level in levels if level in found and found[level].inside.any()}
    place = (slice(0, 1),) * 3
    if painted:
        spans = list(zip(*(mask.place for mask in painted.values())))
        place = tuple(slice(min(part.start for part in span), max(part.stop for part in span)) for span in spans)
    labels = np.zeros([part.stop - part.start for part in place], dtype=np.uint8)
    for level, mask in painted.items():
        labels[within(mask, place)] = label_of(level)
    return image_of(labels, place, volume_node), levels


def awaiting_reading(volume_node) -> dict[str, tuple[sitk.Image, tuple[float, float, float]]]:
    """For each level whose edited ROI the network has not read: the part of the scan (HU) it reads, and the ROI's centre (LPS mm)."""
    document, _table_node = measurement_of(volume_node)
    levels = awaiting_network(document) if document else ()
    if not levels:
        return {}
    found, result = masks(find_result(volume_node, "vtkMRMLSegmentationNode"), volume_node, "ROI"), {}
    for level in levels:
        mask = found[level]
        middle = np.argwhere(mask.inside).mean(axis=0) + [part.start for part in mask.place]
        centre = to_lps(volume_node, middle)
        grid = crop_grid(centre)
        place = box_around(volume_node, centre, max(grid.GetSize()) * grid.GetSpacing()[0] / 2, _MARGIN)
        result[level] = image_of(np.ascontiguousarray(hounsfield(volume_node)[place]), place, volume_node), tuple(centre.tolist())
    return result


def followed_rois(volume_node) -> dict[str, str]:
    """A digest for each ROI that the shown numbers were read from: a reading of other ROIs is out of date."""
    _document, table_node = measurement_of(volume_node)
    return followed(table_node) if table_node else {}


def show_readings(volume_node, readings: dict[str, dict]) -> None:
    """Add what the network says of some levels (see ``edits.with_network``) to the measurement in the scene."""
    document, table_node = measurement_of(volume_node)
    show_document(table_node, with_network(document, readings))


def _kept_readings(document: dict, before: dict, levels: list[str]) -> dict:
    """``document`` with the network's readings that ``before`` has of levels whose ROI is still the same."""
    entries = {entry["level"]: entry for entry in before["vertebrae"] if entry["level"] in levels}
    known = {level: {name: entry[name] for name in OF_NETWORK if name in entry} for level, entry in entries.items()}
    return with_network(document, {level: known[level] for level in awaiting_network(document) if known.get(level)})
