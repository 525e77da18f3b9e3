"""What the paper reports for its test set, and what is wrong with it, to stand beside our figures.

Wang Z. et al., J Bone Oncol 2024, doi 10.1016/j.jbo.2024.100641, section 3.2 and figure 6.
"""

from __future__ import annotations

from dataclasses import dataclass

TITLE = "Wang et al. 2024, test set, n = 150"


@dataclass(frozen=True)
class Reported:
    """A figure of the paper: the section and name of ours, its value and interval, and what is to be known about it."""

    section: str
    name: str
    value: float
    interval: tuple[float, float] | None = None
    remark: str = ""


_NOT_OF_150 = "No 2x2 table of 150 rows gives the paper's five proportions; the smallest that does has 165 (7, 10, 0, 148)."

#: Proportions as fractions, limits and bias in mg/cm³.
REPORTED = (
    Reported("agreement", "spearman", 0.918),
    Reported(
        "agreement",
        "icc_a1",
        0.936,
        (0.937, 0.951),
        "Which ICC is not said. The value is outside its own interval; 150 rows give 0.913 to 0.953.",
    ),
    Reported("agreement", "bias", -1.14),
    Reported("agreement", "lower_limit", -21.42),
    Reported("agreement", "upper_limit", 19.06, remark="The limits are not symmetric about the bias."),
    Reported("agreement", "outside_limits", 0.048, remark="Printed as 0.048 %; 5 % are expected."),
    Reported("osteoporosis", "auc", 0.966, (0.944, 0.988), "Too narrow for 15 positive rows of 150: about 0.938 to 0.994."),
    Reported("osteoporosis", "sensitivity", 0.412, remark=_NOT_OF_150),
    Reported("osteoporosis", "specificity", 1.0, remark="148 of 148 would be 97.5 to 100 %."),
    Reported("osteoporosis", "accuracy", 0.939, remark="Always saying no would reach 89.7 %."),
    Reported("osteoporosis", "ppv", 1.0),
    Reported("osteoporosis", "npv", 0.937),
)

_ABSENT = ("mae", "rmse", "pearson")

_SIMULATED = (
    "Ours are simulated: the reference is the truth of simulated patients, whose scans come from this program. The paper's patients are "
    "not public. Ours show that the path from scan to density is right, not how well it does on people, and are no comparison with the paper."
)
_OTHERS = "Ours are the rows of this table, not the paper's patients, who are not public: the columns stand beside each other only."


def beside_the_paper(part: dict, simulated: bool) -> dict:
    """The paper's figures with ours (an entry of ``sets`` of the evaluation), and in words what the comparison is worth."""
    rows = []
    for each in REPORTED:
        paper = {"value": each.value} | ({"interval": each.interval} if each.interval else {})
        ours = part["sections"].get(each.section, {}).get(each.name, {})
        rows.append({"section": each.section, "name": each.name, "paper": paper, "ours": ours, "remark": each.remark})
    rows += [
        {"section": "agreement", "name": name, "paper": {}, "ours": part["sections"]["agreement"][name], "remark": "The paper gives none."}
        for name in _ABSENT
    ]
    return {"title": TITLE, "rows": rows, "note": _SIMULATED if simulated else _OTHERS}
