"""What was measured, kept with the table node: its document and its ROIs, so that edits can be told and taken back."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np

from ..edits import edited_levels
from .roi_masks import Mask, masks, segments

#: Attributes of the table node: what was measured, and which masks the numbers that it shows belong to.
_MEASURED, _FOLLOWED = "VertebralBMD.measuredRois", "VertebralBMD.followedRois"

#: Tag of a segment: "edited" where the user changed it.
STATE_TAG = "VertebralBMD.state"
_EDITED, _MARK = "edited", " (edited)"


def remember_rois(volume_node, segmentation_node, table_node, document: dict) -> None:
    """Keep the ROIs and bodies as measured; for when a new measurement is shown."""
    rois, bodies = (masks(segmentation_node, volume_node, kind) for kind in ("ROI", "body"))
    measured = dict(
        document=document,
        rois={level: _to_json(mask) for level, mask in rois.items()},
        bodies={level: mask.digest for level, mask in bodies.items()},
    )
    table_node.SetAttribute(_MEASURED, json.dumps(measured))
    set_followed(table_node, {level: mask.digest for level, mask in rois.items()})
    mark(segmentation_node, edited_levels(document))


def measured_rois(table_node) -> dict | None:
    """What ``remember_rois`` kept: document, rois (see ``from_json``) and digests of bodies by level; None in older scenes."""
    text = table_node.GetAttribute(_MEASURED)
    return json.loads(text) if text else None


def followed(table_node) -> dict[str, str]:
    """The digest of each ROI that the shown numbers were read from."""
    return json.loads(table_node.GetAttribute(_FOLLOWED) or "{}")


def set_followed(table_node, digests: dict[str, str]) -> None:
    table_node.SetAttribute(_FOLLOWED, json.dumps(digests))


def mark(segmentation_node, edited: tuple[str, ...]) -> None:
    """Name and tag edited ROIs so; a segment that is right is not touched, because touching it would end Redo."""
    for level, identifier in segments(segmentation_node, "ROI").items():
        segment = segmentation_node.GetSegmentation().GetSegment(identifier)
        plain = segment.GetName().removesuffix(_MARK)
        name = plain + _MARK if level in edited else plain
        if segment.GetName() != name:
            segment.SetName(name)
        if segment.HasTag(STATE_TAG) != (level in edited):
            segment.SetTag(STATE_TAG, _EDITED) if level in edited else segment.RemoveTag(STATE_TAG)


def _to_json(mask: Mask) -> dict:
    packed = base64.b64encode(zlib.compress(np.packbits(mask.inside).tobytes())).decode("ascii")
    return dict(place=[[part.start, part.stop] for part in mask.place], mask=packed)


def from_json(value: dict) -> Mask:
    place = tuple(slice(*pair) for pair in value["place"])
    shape = [part.stop - part.start for part in place]
    bits = np.frombuffer(zlib.decompress(base64.b64decode(value["mask"])), dtype=np.uint8)
    return Mask(place, np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool))
