"""A reader's verdict on a measurement, kept with its table in the scene."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from ..report import words
from .results import measurement_of

_ATTRIBUTE = "VertebralBMD.review"


@dataclass(frozen=True)
class Review:
    """``status``: accepted, corrected or rejected; ``time``: UTC, ISO 8601; ``current``: False when the volume was measured anew,
    with another result, since."""

    status: str
    time: str
    comment: str = ""
    current: bool = True


def set_review(volume_node, status: str, comment: str = "") -> Review:
    """Keep a verdict on the volume's measurement, in place of an earlier one.

    Raises ValueError for an unknown status and for a volume without a measurement.
    """
    document, table_node = measurement_of(volume_node)
    if status not in words.REVIEWS:
        raise ValueError(f"A review is one of {', '.join(words.REVIEWS)}, not {status!r}.")
    if document is None:
        raise ValueError("This volume has not been measured.")
    review = Review(status, datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), comment.strip())
    kept = {key: value for key, value in asdict(review).items() if key != "current"}
    table_node.SetAttribute(_ATTRIBUTE, json.dumps(kept | dict(of=_digest(document))))
    return review


def review_of(volume_node) -> Review | None:
    """The verdict on the volume's measurement, also of a loaded scene."""
    document, table_node = measurement_of(volume_node)
    text = table_node.GetAttribute(_ATTRIBUTE) if table_node else None
    if not text:
        return None
    kept = json.loads(text)
    return Review(current=kept.pop("of") == _digest(document), **kept)


def reviewed_document(volume_node) -> dict | None:
    """measurement.json of the volume with the verdict on it, as it is exported; a verdict on an earlier result is left out."""
    document, _table_node = measurement_of(volume_node)
    review = review_of(volume_node)
    if document is None or review is None or not review.current:
        return document
    return document | dict(review=dict(status=review.status, time=review.time) | ({"comment": review.comment} if review.comment else {}))


def _digest(document: dict) -> str:
    """Of everything but the time it took."""
    content = {key: value for key, value in document.items() if key != "timings_s"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
