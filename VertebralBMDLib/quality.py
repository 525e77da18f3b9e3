"""Every flag and refusal: a code, one sentence and one remedy.

A refusal withholds a value; a flag travels beside it. Nothing else in the project words a problem for the user.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Code(str, Enum):
    """Machine-readable name of one problem; the value is what files and ``--allow`` carry."""

    # The scan cannot be used.
    UNREADABLE = "UNREADABLE"
    NO_CT_SERIES = "NO_CT_SERIES"
    SEVERAL_SERIES = "SEVERAL_SERIES"
    SERIES_NOT_FOUND = "SERIES_NOT_FOUND"
    NOT_CT = "NOT_CT"
    NOT_3D = "NOT_3D"
    NOT_HU = "NOT_HU"
    TOO_FEW_SLICES = "TOO_FEW_SLICES"
    IRREGULAR_SPACING = "IRREGULAR_SPACING"
    MIXED_ORIENTATION = "MIXED_ORIENTATION"
    SHEARED = "SHEARED"
    NONLINEAR_TRANSFORM = "NONLINEAR_TRANSFORM"
    VIRTUAL_NON_CONTRAST = "VIRTUAL_NON_CONTRAST"
    # Vertebrae and levels.
    NO_VERTEBRAE = "NO_VERTEBRAE"
    LEVEL_NOT_FOUND = "LEVEL_NOT_FOUND"
    LEVEL_UNCERTAIN = "LEVEL_UNCERTAIN"
    LEVEL_SET_BY_USER = "LEVEL_SET_BY_USER"
    LEVEL_POINT_OUTSIDE = "LEVEL_POINT_OUTSIDE"
    LEVEL_EXCLUDED = "LEVEL_EXCLUDED"
    TRANSITIONAL_ANATOMY = "TRANSITIONAL_ANATOMY"
    BODY_CUT_OFF = "BODY_CUT_OFF"
    BODY_VOLUME_UNUSUAL = "BODY_VOLUME_UNUSUAL"
    LEVEL_ORDER = "LEVEL_ORDER"
    LEVEL_DUPLICATED = "LEVEL_DUPLICATED"
    COLUMN_GAP = "COLUMN_GAP"
    BODIES_OVERLAP = "BODIES_OVERLAP"
    BODIES_CUT_OUT = "BODIES_CUT_OUT"
    BODY_FRAGMENTED = "BODY_FRAGMENTED"
    BODY_SHAPE_UNUSUAL = "BODY_SHAPE_UNUSUAL"
    BODY_WITH_ARCH = "BODY_WITH_ARCH"
    BODY_NOT_BONE = "BODY_NOT_BONE"
    BODY_METAL = "BODY_METAL"
    LABEL_MAP_UNUSABLE = "LABEL_MAP_UNUSABLE"
    LABELS_AMBIGUOUS = "LABELS_AMBIGUOUS"
    WHOLE_VERTEBRAE = "WHOLE_VERTEBRAE"
    # Region of interest.
    ROI_EMPTY = "ROI_EMPTY"
    ROI_SMALL = "ROI_SMALL"
    ROI_EDITED = "ROI_EDITED"
    ROI_OUTSIDE_BODY = "ROI_OUTSIDE_BODY"
    ROI_HETEROGENEOUS = "ROI_HETEROGENEOUS"
    ROI_FINDING_EXCLUDED = "ROI_FINDING_EXCLUDED"
    LESION = "LESION"
    HEIGHT_LOSS = "HEIGHT_LOSS"
    FRACTURE = "FRACTURE"
    # Acquisition and calibration.
    THICK_SLICES = "THICK_SLICES"
    SHARP_KERNEL = "SHARP_KERNEL"
    CONTRAST = "CONTRAST"
    CONTRAST_UNKNOWN = "CONTRAST_UNKNOWN"
    CONTRAST_TAG_WRONG = "CONTRAST_TAG_WRONG"
    NOT_CALIBRATED = "NOT_CALIBRATED"
    PHANTOM_NOT_FOUND = "PHANTOM_NOT_FOUND"
    CALIBRATION_FAILED = "CALIBRATION_FAILED"
    CALIBRATION_WARNING = "CALIBRATION_WARNING"
    TISSUES_NOT_FOUND = "TISSUES_NOT_FOUND"
    RESEARCH_CALIBRATION = "RESEARCH_CALIBRATION"
    MATERIAL_CONVERTED = "MATERIAL_CONVERTED"
    # Assessment.
    ONE_LEVEL_ONLY = "ONE_LEVEL_ONLY"
    LEVEL_SUBSTITUTED = "LEVEL_SUBSTITUTED"
    LEVELS_DISAGREE = "LEVELS_DISAGREE"
    LEVELS_OUTSIDE_RULE = "LEVELS_OUTSIDE_RULE"
    LIMITS_WITHOUT_CATEGORY = "LIMITS_WITHOUT_CATEGORY"
    NETWORK_DISAGREES = "NETWORK_DISAGREES"
    NETWORK_OTHER_MATERIAL = "NETWORK_OTHER_MATERIAL"
    # Installation.
    MODEL_DAMAGED = "MODEL_DAMAGED"
    TORCH_MISSING = "TORCH_MISSING"
    DEVICE_FALLBACK = "DEVICE_FALLBACK"
    ENGINE_MISSING = "ENGINE_MISSING"
    ENGINE_WEIGHTS_MISSING = "ENGINE_WEIGHTS_MISSING"
    ENGINE_FAILED = "ENGINE_FAILED"


@dataclass(frozen=True)
class Message:
    """What is wrong and what to do about it, each in one sentence.

    ``panel_remedy``: what to do about it in 3D Slicer's panel, where that is another thing.
    """

    sentence: str
    remedy: str
    panel_remedy: str = ""

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}"


MESSAGES: dict[Code, Message] = {
    Code.UNREADABLE: Message("The scan could not be read.", "Give a DICOM folder, NIfTI, NRRD or MetaImage file that 3D Slicer can open."),
    Code.NO_CT_SERIES: Message("The folder holds no CT series of three or more slices.", "Point to the folder of an axial CT series."),
    Code.SEVERAL_SERIES: Message(
        "The folder holds several CT series and none was chosen.", "Choose one with --series UID.", "Load one series."
    ),
    Code.SERIES_NOT_FOUND: Message(
        "The requested series is not in this folder.",
        "Choose one of the series that are listed, with --series UID.",
        "Choose one of the series that are there.",
    ),
    Code.NOT_CT: Message("The image is not a CT.", "Bone density can be measured on CT only; choose a CT series."),
    Code.NOT_3D: Message(
        "The image is not a single three-dimensional scalar volume.",
        "Give one 3D volume, not a projection, a colour image or a time series.",
    ),
    Code.NOT_HU: Message("The voxel values are not Hounsfield units.", "Export the scan with its rescale slope and intercept applied."),
    Code.TOO_FEW_SLICES: Message("The scan has fewer than three slices.", "Choose the axial volume, not a localiser or a single slice."),
    Code.IRREGULAR_SPACING: Message(
        "The slices are not evenly spaced: some are missing, doubled or shifted.",
        "Export the complete series again, one phase and one reconstruction only.",
    ),
    Code.MIXED_ORIENTATION: Message(
        "The slices of this series do not share one orientation.", "Separate the reformats and choose one series."
    ),
    Code.SHEARED: Message(
        "The slice axes are not perpendicular (gantry tilt or shear).",
        "Resample the scan to a rectangular grid first, for example by hardening its transform in 3D Slicer.",
    ),
    Code.NONLINEAR_TRANSFORM: Message(
        "The volume is under a non-linear transform.", "Harden the transform on a copy of the volume and measure the copy."
    ),
    Code.VIRTUAL_NON_CONTRAST: Message(
        "The series is a virtual non-contrast image, which halves bone density.",
        "Choose the series as it was scanned with --series UID.",
        "Choose the series as it was scanned.",
    ),
    Code.NO_VERTEBRAE: Message(
        "No vertebral body was found in the scan.",
        "Check that the scan covers the lumbar spine, or give your own segmentation with --bodies.",
        "Check that the scan covers the lumbar spine, or choose your own segmentation in step 2.",
    ),
    Code.LEVEL_NOT_FOUND: Message(
        "A level to be measured is not in the scan.",
        "Use a scan that covers L1 and L2, or choose other levels with --levels.",
        "Use a scan that covers L1 and L2, or name other levels in step 2.",
    ),
    Code.LEVEL_UNCERTAIN: Message(
        "The names of the vertebral levels are uncertain in this scan.",
        "Look at the overview and confirm or correct them with --level-at L1=x,y,z, or accept them with --allow LEVEL_UNCERTAIN.",
        "Look at the levels in step 2 and confirm or correct them with Renumber, or accept them with Measure anyway.",
    ),
    Code.LEVEL_SET_BY_USER: Message("The level names were set by the user.", "Nothing to do; this is recorded for the reader."),
    Code.LEVEL_POINT_OUTSIDE: Message(
        "The point given for the level lies in no vertebral body.", "Give a point inside the body, in LPS millimetres."
    ),
    Code.LEVEL_EXCLUDED: Message(
        "The user left this vertebra out of the patient's value.", "Nothing to do; the reason is recorded for the reader."
    ),
    Code.TRANSITIONAL_ANATOMY: Message(
        "The number of rib-bearing or lumbar vertebrae is unusual (transitional anatomy).",
        "Confirm which vertebra is L1 with --level-at L1=x,y,z.",
        "Choose the body that is L1 in step 2 and confirm it with Renumber.",
    ),
    Code.BODY_CUT_OFF: Message(
        "The vertebral body is cut off by the border of the scan and was not measured.", "Use a scan that covers the whole body."
    ),
    Code.BODY_VOLUME_UNUSUAL: Message(
        "The volume of the vertebral body is unlikely for its level or beside its neighbours.",
        "Check the segmentation of this body; correct it or exclude the level.",
        "Check the segmentation of this body; correct it or exclude the level in step 2.",
    ),
    Code.LEVEL_ORDER: Message(
        "The names of the bodies do not follow their order along the spine.",
        "Correct the label map, or count the levels from one body with --level-at L1=x,y,z.",
        "Correct the segmentation, or count the levels from one body with Renumber in step 2.",
    ),
    Code.LEVEL_DUPLICATED: Message(
        "One level name stands for two bodies, which were not measured.", "Give each body of the label map a name of its own."
    ),
    Code.COLUMN_GAP: Message(
        "Two bodies that are named as neighbours lie further apart than neighbours can.",
        "Look whether a body between them was missed, and count the levels with --level-at L1=x,y,z.",
        "Look whether a body between them was missed, and count the levels with Renumber in step 2.",
    ),
    Code.BODIES_OVERLAP: Message(
        "The segmentation of this body reaches into its neighbour.", "Check the border between the two bodies and correct it."
    ),
    Code.BODIES_CUT_OUT: Message(
        "The bodies were cut out of whole vertebrae by the bundled network.", "Look at their posterior walls in the overview."
    ),
    Code.BODY_FRAGMENTED: Message(
        "The segmentation of this body lies in several pieces.", "Remove what does not belong to the body and fill what is missing."
    ),
    Code.BODY_SHAPE_UNUSUAL: Message(
        "The segmentation of this body has holes, a ragged surface or an unlikely length.", "Check the outline of this body and correct it."
    ),
    Code.BODY_WITH_ARCH: Message(
        "The segmentation of this body reaches into the arch, so it was not measured.",
        "Cut it at the posterior wall, where the pedicles begin.",
    ),
    Code.BODY_NOT_BONE: Message(
        "What was segmented as this body reads like fat, air or soft tissue and was not measured.",
        "Check that the segmentation belongs to this scan and lies on bone.",
    ),
    Code.BODY_METAL: Message(
        "The body holds metal or cement, which falsify its density, so it was not measured.", "Measure a vertebra without an implant."
    ),
    Code.LABEL_MAP_UNUSABLE: Message(
        "The label map of vertebral bodies cannot be used with this scan.",
        "Give an integer label map on the scan's own grid with segment names, or with VerSe (L1 = 20) or TotalSegmentator numbers (L1 = 31).",
    ),
    Code.LABELS_AMBIGUOUS: Message(
        "The numbers of the label map can be meant as VerSe's or as TotalSegmentator's.",
        "Say which with --bodies-numbering verse or --bodies-numbering totalsegmentator.",
        "Say which numbers they are in step 2.",
    ),
    Code.WHOLE_VERTEBRAE: Message(
        "The label map holds whole vertebrae, and no bodies could be cut out of them.",
        "Give a label map of bodies without arches, or use the bundled engine.",
    ),
    Code.ROI_EMPTY: Message(
        "The ROI of this body is empty: nothing was left after the erosion, or all of it was erased.",
        "Reduce the erosion margin, check the segmentation of this body, or draw its ROI again.",
    ),
    Code.ROI_SMALL: Message(
        "The trabecular ROI is smaller than 1 cm³ and was not measured.",
        "Reduce the erosion margin, check the segmentation of this body, or draw a larger ROI.",
    ),
    Code.ROI_EDITED: Message("The ROI was edited by the user.", "Nothing to do; this is recorded for the reader."),
    Code.ROI_OUTSIDE_BODY: Message(
        "More than 5 % of the edited ROI lies outside the vertebral body.", "Check that the ROI belongs to this body and this scan."
    ),
    Code.ROI_HETEROGENEOUS: Message(
        "The HU inside the ROI vary by more than 60 HU (standard deviation).",
        "Look for metastasis, bone island, haemangioma or fracture in the ROI and correct it.",
    ),
    Code.ROI_FINDING_EXCLUDED: Message(
        "A bone island, lesion, vacuum or sclerosis inside the ROI was left out of the mean.",
        "Look at the ROI; the mean with everything in it is reported beside it.",
    ),
    Code.LESION: Message(
        "A lesion fills so much of the ROI that the vertebra is left out of the patient's mean.", "Measure a vertebra without a lesion."
    ),
    Code.HEIGHT_LOSS: Message(
        "The body is more than 15 % lower than its own heights or its neighbours suggest, as in a fracture.",
        "Check the vertebra; leave it out with --levels if it is fractured.",
        "Check the vertebra; exclude it in step 2 if it is fractured.",
    ),
    Code.FRACTURE: Message(
        "The body has lost 20 % of its height or more and is left out of the patient's mean.",
        "Check the vertebra; a fractured body packs bone and reads too dense.",
    ),
    Code.THICK_SLICES: Message(
        "The slices are thicker than 3 mm; the end plates may leak into the ROI.", "Prefer a reconstruction of 3 mm or thinner."
    ),
    Code.SHARP_KERNEL: Message("The scan was reconstructed with a sharp kernel.", "Prefer a standard or soft-tissue reconstruction."),
    Code.CONTRAST: Message(
        "The scan was taken with intravenous contrast, which raises the density of bone marrow.",
        "Use an unenhanced scan, or accept the bias with --allow CONTRAST.",
        "Use an unenhanced scan, or accept the bias with Measure anyway.",
    ),
    Code.CONTRAST_UNKNOWN: Message(
        "Contrast could not be ruled out, because the aorta was not found.", "Check that the scan was taken without intravenous contrast."
    ),
    Code.CONTRAST_TAG_WRONG: Message(
        "The header and the blood in the aorta disagree about intravenous contrast; the blood was believed.", "Look at the aorta."
    ),
    Code.NOT_CALIBRATED: Message(
        "The scan has no calibration, so mg/cm³ and the diagnostic category are withheld.",
        "Scan the patient with a calibration phantom in the field of view, or give a phantom scan of the same scanner.",
    ),
    Code.PHANTOM_NOT_FOUND: Message(
        "The requested calibration phantom was not found in the scan.",
        "Check that the phantom is in the field of view and that its name is right.",
    ),
    Code.CALIBRATION_FAILED: Message(
        "The calibration failed a check and was not used.", "Read the failed check; rescan the phantom or correct its certificate."
    ),
    Code.CALIBRATION_WARNING: Message(
        "A check of the calibration raised a warning.", "Read the check and judge whether the calibration can be trusted."
    ),
    Code.TISSUES_NOT_FOUND: Message(
        "Too few of the patient's own tissues could be read for an internal calibration.",
        "Use a phantom, in the scan or scanned separately.",
    ),
    Code.RESEARCH_CALIBRATION: Message(
        "The values in mg/cm³ come from the physics of the patient's own tissues, for research only; the category is withheld.",
        "Use a phantom, or fit your site's own scans with vertebral-bmd phantom fit-site.",
        "Use a phantom in the scan, or one that was scanned separately.",
    ),
    Code.MATERIAL_CONVERTED: Message(
        "The densities were converted to another reference material by the factor that was asked for; the category is withheld.",
        "Report the factor; for a category measure without a conversion, because no factor holds for every scanner.",
    ),
    Code.ONE_LEVEL_ONLY: Message(
        "The value comes from one vertebra only; the category needs the mean of two and is withheld.",
        "Use a scan in which two lumbar vertebrae can be measured.",
    ),
    Code.LEVEL_SUBSTITUTED: Message(
        "L1 or L2 could not be used and a neighbouring vertebra stands in for it.",
        "Read the value with the levels that it comes from; what was left out, and why, is listed beside it.",
    ),
    Code.LEVELS_DISAGREE: Message(
        "The vertebrae differ by more than 25 mg/cm³ or by more than 3 SD of the usual ratio.",
        "Look for a fracture, a lesion or degeneration in one of them.",
    ),
    Code.LEVELS_OUTSIDE_RULE: Message(
        "The limits hold for lumbar vertebrae only, and the value comes from others too; the category is withheld.", "Measure L1 and L2."
    ),
    Code.LIMITS_WITHOUT_CATEGORY: Message(
        "The limits that were chosen give no category for this value.",
        "Read the value with the population and the source of the limits, or measure with --thresholds acr.",
        "Read the value with the population and the source of the limits, or choose the limits acr.",
    ),
    Code.NETWORK_DISAGREES: Message("ROI mean and network differ by more than 20 mg/cm³.", "Check the ROI for cortex, veins or lesions."),
    Code.NETWORK_OTHER_MATERIAL: Message(
        "The network reads CaHA equivalents and this calibration is of another material, so its value is withheld.",
        "Use the ROI value; the two materials have no common scale.",
    ),
    Code.MODEL_DAMAGED: Message("A bundled file is missing or its checksum is wrong.", "Reinstall VertebralBMD."),
    Code.TORCH_MISSING: Message(
        "PyTorch is not installed.", "In 3D Slicer install the PyTorch extension; elsewhere run pip install torch."
    ),
    Code.DEVICE_FALLBACK: Message("The requested device does not work; the CPU was used instead.", "Run vertebral-bmd doctor to see why."),
    Code.ENGINE_MISSING: Message(
        "TotalSegmentator 2.15 or newer was not found.",
        "Install it with pip install 'TotalSegmentator>=2.15', name its program in VERTEBRAL_BMD_TOTALSEGMENTATOR, or use --engine bundled.",
        "Install TotalSegmentator 2.15 or newer, or choose the bundled network in step 2.",
    ),
    Code.ENGINE_WEIGHTS_MISSING: Message(
        "The networks of TotalSegmentator are not on this computer, and VertebralBMD downloads nothing.",
        "Fetch them once with totalseg_download_weights -t vertebrae_pp_refined.",
    ),
    Code.ENGINE_FAILED: Message(
        "TotalSegmentator ended without a usable result.",
        "Run it by itself on this scan to see why, or use --engine bundled.",
        "Run TotalSegmentator by itself on this scan to see why, or choose the bundled network in step 2.",
    ),
}


def in_panel(code: str) -> str:
    """Sentence and remedy for somebody who uses 3D Slicer's panel and no command line; "" for a code of another version."""
    message = MESSAGES[Code(code)] if code in Code.__members__ else None
    return f"{message.sentence} {message.panel_remedy or message.remedy}" if message else ""


#: Flags of a body with which it is not measured, the worst first: its value would be of something else.
UNMEASURABLE: tuple[Code, ...] = (
    Code.BODY_CUT_OFF,
    Code.LEVEL_DUPLICATED,
    Code.BODY_NOT_BONE,
    Code.BODY_METAL,
    Code.BODY_WITH_ARCH,
)

#: Refusals that a user may overrule with ``--allow``; the others leave nothing that could be measured.
ALLOWABLE: frozenset[Code] = frozenset({Code.NOT_HU, Code.LEVEL_UNCERTAIN, Code.TRANSITIONAL_ANATOMY, Code.CONTRAST})


class Refused(Exception):
    """The measurement cannot go on. ``code`` names why; ``detail`` adds what was seen, never patient data."""

    def __init__(self, code: Code, detail: str = ""):
        self.code = code
        self.detail = detail
        super().__init__(f"{code.value}: {MESSAGES[code]}" + (f" ({detail})" if detail else ""))
