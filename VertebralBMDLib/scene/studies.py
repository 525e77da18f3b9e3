"""Other studies of the same patient in the scene. Who the patient is stays in memory, as a keyed hash, and is never kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import date, datetime

import slicer

from ..change import Change, change_between, days_between
from .results import measurement_of, nodes_of_class
from .volumes import dicom_file

_PATIENT_ID, _BIRTH_DATE, _STUDY_DATE = "0010,0020", "0010,0030", "0008,0020"

#: Of this process only, so that a hash says nothing elsewhere.
_KEY = secrets.token_bytes(32)


@dataclass(frozen=True)
class Comparison:
    """Two measured volumes of one patient, and how the density changed from the first to the second; or why that cannot be said."""

    earlier: object
    later: object
    change: Change | None
    reason: str = ""


def comparisons(volume_node, chosen=None, own_cv_percent: float | None = None) -> list[Comparison]:
    """The volume's measurement against earlier studies of its patient, the latest first.

    Without ``chosen`` those are measured volumes of the scene with the same DICOM patient and an earlier study date; otherwise
    that volume alone, whatever its header says: the user vouches for the patient. ``own_cv_percent``: see ``change_between``.
    """
    if measurement_of(volume_node)[0] is None:
        return []
    others = [chosen] if chosen is not None else _earlier(volume_node)
    return [_comparison(other, volume_node, own_cv_percent) for other in others]


def _comparison(one, other, own_cv_percent: float | None) -> Comparison:
    """In the order of their dates; where one is unknown, in the order given."""
    days = days_between(study_date(one), study_date(other))
    earlier, later = (other, one) if days is not None and days < 0 else (one, other)
    documents = [measurement_of(node)[0] for node in (earlier, later)]
    if None in documents:
        return Comparison(earlier, later, None, "The other study has not been measured.")
    try:
        return Comparison(earlier, later, change_between(*documents, own_cv_percent, None if days is None else abs(days)))
    except ValueError as error:
        return Comparison(earlier, later, None, str(error))


def _earlier(volume_node) -> list:
    patient, day = patient_hash(volume_node), study_date(volume_node)
    if patient is None or day is None:
        return []
    nodes = nodes_of_class(volume_node.GetScene(), "vtkMRMLScalarVolumeNode")
    nodes = [node for node in nodes if node is not volume_node and measurement_of(node)[0] is not None]
    dated = [(study_date(node), node) for node in nodes if patient_hash(node) == patient]
    found = [(when, node) for when, node in dated if when is not None and when < day]
    return [node for _when, node in sorted(found, key=lambda each: each[0], reverse=True)]


def patient_hash(volume_node) -> str | None:
    """Keyed hash of the DICOM patient id (and date of birth, where known); None where the patient is unknown."""
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    known = _item(volume_node, constants.GetDICOMLevelPatient(), lambda h, item: h.GetItemUID(item, constants.GetDICOMUIDName()))
    path = dicom_file(volume_node)
    values = [slicer.dicomDatabase.fileValue(path, tag) for tag in (_PATIENT_ID, _BIRTH_DATE)] if path else [known or "", ""]
    return hashlib.blake2b("\0".join(values).encode(), key=_KEY).hexdigest() if values[0] else None


def study_date(volume_node) -> date | None:
    """The day of the study, from the subject hierarchy or the DICOM database; None where neither tells."""
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    name = constants.GetDICOMStudyDateAttributeName()
    text = _item(volume_node, constants.GetDICOMLevelStudy(), lambda h, item: h.GetItemAttribute(item, name))
    path = dicom_file(volume_node)
    text = text or (slicer.dicomDatabase.fileValue(path, _STUDY_DATE) if path else "")
    try:
        return datetime.strptime((text or "").replace("-", "")[:8], "%Y%m%d").date()
    except ValueError:
        return None


def _item(volume_node, level: str, read) -> str | None:
    """What ``read(hierarchy, item)`` says of the volume's patient or study in the subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume_node.GetScene())
    item = hierarchy.GetItemByDataNode(volume_node) if hierarchy else 0
    ancestor = hierarchy.GetItemAncestorAtLevel(item, level) if item else 0
    return read(hierarchy, ancestor) if ancestor else None
