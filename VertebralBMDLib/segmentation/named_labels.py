"""Names of labels that a file carries: segments of a 3D Slicer .seg.nrrd, and the label table in a NIfTI header."""

from __future__ import annotations

import gzip
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ..anatomy import LABELS, SNOMED
from ..quality import Code, Refused

_LEVEL = re.compile(r"(?<![A-Za-z0-9])(?:TH?|L)\s?\d{1,2}(?![A-Za-z0-9])", re.IGNORECASE)
#: Named after a level, but no vertebra.
_PARTS = re.compile(
    r"dis[ck]|rib|nerve|root|canal|cord|plate|pedicle|arch|process|facet|posterior|muscle|screw|sacr|\broi\b", re.IGNORECASE
)
_SNOMED_LEVELS = {code: level for level, code in SNOMED.items()}
#: The label table that TotalSegmentator and Connectome Workbench write into the extension of a NIfTI header.
_TABLE_ENTRY = re.compile(r'<Label\s[^>]*?Key="(\d+)"[^>]*>(?:<!\[CDATA\[)?([^<\]]*)')


@dataclass(frozen=True)
class NamedLabel:
    """A label value in one layer (0 but for overlapping segments of a .seg.nrrd), and the vertebral level it is named after."""

    layer: int
    value: int
    level: str


def named_labels(path: Path) -> tuple[NamedLabel, ...]:
    """The labels of a file that are named after a thoracic or lumbar vertebra; empty where the file names none.

    Raises Refused(LABEL_MAP_UNUSABLE) for an unreadable file, a level that is named twice, or a segment whose name and
    terminology disagree.
    """
    named = _in_nifti(path) if path.name.endswith((".nii", ".nii.gz")) else _in_segmentation(path)
    levels = [label.level for label in named]
    twice = sorted({level for level in levels if levels.count(level) > 1})
    if twice:
        raise Refused(Code.LABEL_MAP_UNUSABLE, f"several segments are named {', '.join(twice)}")
    return named


def level_in(name: str) -> str | None:
    """The level that a name speaks of: "L1", "vertebrae_L1", "L1 vertebra", "Th12"; None for none, several, or a part of one."""
    found = {re.sub(r"\s", "", text.upper()).replace("TH", "T") for text in _LEVEL.findall(name)}
    if len(found) != 1 or _PARTS.search(name):
        return None
    level = found.pop()
    return level if level in LABELS else None


def _in_segmentation(path: Path) -> tuple[NamedLabel, ...]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise Refused(Code.LABEL_MAP_UNUSABLE, "unreadable") from error
    keys = set(reader.GetMetaDataKeys())
    found = []
    for segment in sorted(key.removesuffix("_Name") for key in keys if re.fullmatch(r"Segment\d+_Name", key)):
        values = {
            field: reader.GetMetaData(f"{segment}_{field}")
            for field in ("Name", "LabelValue", "Layer", "Tags")
            if f"{segment}_{field}" in keys
        }
        level = level_of_segment(values["Name"], values.get("Tags", ""))
        if level is not None and "LabelValue" in values:
            found.append(NamedLabel(int(values.get("Layer", 0)), int(values["LabelValue"]), level))
    return tuple(found)


def level_of_segment(name: str, tags: str) -> str | None:
    """The level of a segment by its name, else by the SNOMED code of its terminology. Raises Refused where the two disagree."""
    by_name = level_in(name)
    coded = {_SNOMED_LEVELS[code] for code in re.findall(r"SCT\^(\d+)\^", tags) if code in _SNOMED_LEVELS}
    if by_name is not None and coded and coded != {by_name}:
        raise Refused(Code.LABEL_MAP_UNUSABLE, f"the segment {by_name} carries the terminology of {', '.join(sorted(coded))}")
    if by_name is not None or len(coded) != 1 or _PARTS.search(name):
        return by_name
    return coded.pop()


def _in_nifti(path: Path) -> tuple[NamedLabel, ...]:
    """From the extension of a NIfTI-1 header, which SimpleITK does not hand over."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as stream:
            header = stream.read(352)
            order = "<" if header[:4] == struct.pack("<i", 348) else ">"
            if len(header) < 352 or header[:4] != struct.pack(order + "i", 348) or not header[348]:
                return ()
            length = int(struct.unpack(order + "f", header[108:112])[0]) - 352
            text = stream.read(max(0, min(length, 1 << 22))).decode("utf-8", errors="replace")
    except (OSError, EOFError) as error:
        raise Refused(Code.LABEL_MAP_UNUSABLE, "unreadable") from error
    entries = [(int(value), level_in(name)) for value, name in _TABLE_ENTRY.findall(text)]
    return tuple(NamedLabel(0, value, level) for value, level in entries if level is not None)
