"""What is kept beside a measurement in the scene: a reader's verdict, the user's decisions; and other studies of the patient."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")

sys.path.insert(0, str(Path(__file__).parent))

from study_case import study  # noqa: E402

from VertebralBMDLib import scene  # noqa: E402
from VertebralBMDLib.quality import Code  # noqa: E402
from VertebralBMDLib.scan import Scan  # noqa: E402
from VertebralBMDLib.scene import studies  # noqa: E402
from VertebralBMDLib.scene.choices import Choices, choices_of, set_choices  # noqa: E402
from VertebralBMDLib.scene.review import review_of, reviewed_document, set_review  # noqa: E402
from VertebralBMDLib.scene.studies import comparisons  # noqa: E402
from VertebralBMDLib.settings import Settings  # noqa: E402

PATIENT = "DOE^JANE 1234"


def document(first=100.0):
    result = study(first)
    for k, vertebra in enumerate(result["vertebrae"]):
        vertebra["centroid_lps_mm"] = [1.0, 2.0, 100.0 - 30 * k]
    result["settings"] = {"levels": ["L1", "L2"]}
    result["messages"] = {}
    return result


def measured(mrml, first=100.0, patient=None, day=None):
    """A measured volume, where asked for below a patient and a study as Slicer's DICOM import makes them."""
    image = sitk.GetImageFromArray(np.zeros((4, 4, 4), np.int16))
    volume = scene.add_volume(mrml, Scan(image), "CT")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(mrml)
    if patient is not None:
        item = hierarchy.GetItemByUID("DICOM", patient)
        if not item:
            item = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "patient")
            hierarchy.SetItemUID(item, "DICOM", patient)
        study = hierarchy.CreateStudyItem(item, "study")
        hierarchy.SetItemAttribute(study, "DICOM.StudyDate", day or "")
        hierarchy.CreateItem(study, volume)
    scene.show_measurement(volume, document(first), None, None)
    return volume


def test_a_verdict_is_kept_with_the_table_and_exported_with_the_result(mrml):
    volume = measured(mrml)
    assert review_of(volume) is None and reviewed_document(volume) == document()
    set_review(volume, "corrected", " moved the ROI \n")
    review = review_of(volume)
    assert (review.status, review.comment, review.current) == ("corrected", "moved the ROI", True)
    assert reviewed_document(volume)["review"] == dict(status="corrected", time=review.time, comment="moved the ROI")
    set_review(volume, "accepted")
    assert reviewed_document(volume)["review"] == dict(status="accepted", time=review_of(volume).time)


def test_a_verdict_on_an_earlier_result_does_not_pass_for_one_on_the_new(mrml):
    volume = measured(mrml)
    set_review(volume, "accepted", "fine")
    scene.show_measurement(volume, document() | {"timings_s": {"roi": 2.0}}, None, None)
    assert review_of(volume).current, "only the time it took differs"
    scene.show_measurement(volume, document(101.0), None, None)
    assert not review_of(volume).current and "review" not in reviewed_document(volume)


def test_only_a_measurement_can_be_reviewed(mrml):
    volume = measured(mrml)
    with pytest.raises(ValueError, match="accepted, corrected, rejected"):
        set_review(volume, "fine")
    image = sitk.GetImageFromArray(np.zeros((4, 4, 4), np.int16))
    with pytest.raises(ValueError, match="not been measured"):
        set_review(scene.add_volume(mrml, Scan(image), "other"), "accepted")


def test_decisions_belong_to_their_volume_and_are_settings(mrml):
    volume, other = measured(mrml), measured(mrml)
    assert choices_of(volume) == Choices()
    chosen = Choices(("L1", (1.0, 2.0, 3.0)), (("L2", "cement"),), frozenset({Code.CONTRAST}))
    set_choices(volume, chosen)
    scene.show_measurement(volume, document(90.0), None, None)
    assert choices_of(volume) == chosen and choices_of(other) == Choices()
    settings = choices_of(volume).added_to(Settings(erosion_mm=2.5, allow=frozenset({Code.NOT_HU})))
    assert settings == Settings(
        erosion_mm=2.5, level_at=chosen.level_at, exclude=chosen.exclude, allow=frozenset({Code.NOT_HU, Code.CONTRAST})
    )


def test_what_was_excluded_stays_the_same_body_when_levels_are_renamed():
    chosen = Choices().excluding("L1", "cement").excluding("L3", "lesion").excluding("L3", "metastasis")
    assert chosen.exclude == (("L1", "cement"), ("L3", "metastasis")) and chosen.including("L1").exclude == (("L3", "metastasis"),)
    moved = chosen.renumbered(document(), "L2", "L1")
    assert moved.level_at == ("L1", (1.0, 2.0, 70.0)) and moved.exclude == (("T12", "cement"), ("L2", "metastasis"))
    with pytest.raises(ValueError, match="L5 was not found"):
        chosen.renumbered(document(), "L5", "L1")
    with pytest.raises(ValueError, match="counted from T13"):
        chosen.renumbered(document(), "L1", "T13")
    with pytest.raises(ValueError, match="reason for L1"):
        chosen.excluding("L1", " ")


def test_earlier_studies_of_the_same_patient_are_found_the_latest_first(mrml):
    now = measured(mrml, 80.0, PATIENT, "20260105")
    first, last = measured(mrml, 100.0, PATIENT, "20230105"), measured(mrml, 84.0, PATIENT, "20250105")
    measured(mrml, 50.0, "DOE^JOHN", "20240105")
    measured(mrml, 50.0, PATIENT, "20260105")
    measured(mrml, 50.0, PATIENT, "20260201")
    measured(mrml, 50.0)
    found = comparisons(now)
    assert [each.earlier for each in found] == [last, first] and {each.later for each in found} == {now}
    assert [each.change.earlier_mg_cm3 for each in found] == [97.0, 105.0] and found[0].change.years == pytest.approx(1.0, abs=0.01)
    assert found[0].change.cv_percent == 4.7 and comparisons(now, None, 1.0)[0].change.cv_percent == 1.0
    assert comparisons(first) == []


def test_the_user_may_vouch_for_the_patient_and_the_dates_give_the_order(mrml):
    now, other, later = measured(mrml, 80.0), measured(mrml, 100.0), measured(mrml, 60.0, PATIENT, "20270101")
    assert comparisons(now) == []
    (found,) = comparisons(now, other)
    assert found.earlier is other and found.change.difference_mg_cm3 == pytest.approx(-10) and found.change.years is None
    dated = measured(mrml, 90.0, "another", "20260101")
    (found,) = comparisons(dated, later)
    assert (found.earlier, found.later) == (dated, later) and found.change.difference_mg_cm3 < 0
    image = sitk.GetImageFromArray(np.zeros((4, 4, 4), np.int16))
    (found,) = comparisons(now, scene.add_volume(mrml, Scan(image), "unmeasured"))
    assert found.change is None and "not been measured" in found.reason


def test_who_the_patient_is_comes_from_the_dicom_database_too_and_is_kept_nowhere(mrml, monkeypatch):
    class Database:
        """Slicer's own database answers like this."""

        def fileForInstance(self, uid):
            return f"/dicom/{uid}"

        def fileValue(self, path, tag):
            day = {"/dicom/1.1": "20240101", "/dicom/1.2": "20260101"}[path]
            return {"0010,0020": PATIENT, "0010,0030": "19500101", "0008,0020": day}.get(tag, "")

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    before, now = measured(mrml, 100.0), measured(mrml, 80.0)
    before.SetAttribute("DICOM.instanceUIDs", "1.1")
    now.SetAttribute("DICOM.instanceUIDs", "1.2 1.3")
    (found,) = comparisons(now)
    assert found.earlier is before and found.change.years == pytest.approx(2.0, abs=0.01)
    assert PATIENT not in studies.patient_hash(now) and studies.patient_hash(now) == studies.patient_hash(before)
    kept = json.dumps([scene.measurement_of(now)[1].GetAttribute(name) for name in scene.measurement_of(now)[1].GetAttributeNames()])
    assert studies.patient_hash(now) not in kept and PATIENT not in kept
