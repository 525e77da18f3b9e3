"""The columns a person can have, how often, and what each of their vertebrae is likely to show. All numbers are data, here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .evidence import Below


class Ribs(IntEnum):
    """What ribs a vertebra bears, by their length."""

    NONE = 0
    RUDIMENT = 1
    TWELFTH = 2
    ELEVENTH = 3
    MIDDLE = 4
    UPPER = 5
    FIRST = 6


@dataclass(frozen=True)
class Showing:
    """How a pair of ribs shows in the localiser's map.

    ``mean_mm``, ``sd_mm``: distance of the tip from the root; ``broken``: share of which only a piece is found; ``missed``:
    share of single ribs that are not found; ``unseen``: share of pairs of which neither is, beyond that.
    """

    mean_mm: float
    sd_mm: float
    broken: float
    missed: float
    unseen: float


#: Lengths for somebody of middle size. Of 160 simulated patients 71-104 (twelfth), 146-215 (eleventh), 39-46 (rudiment) and
#: 156-275 mm (middle); of 5 real ones 38-126 (twelfth, one in a piece of 23), 132-178 (eleventh) and 171-207 mm (middle), by
#: threshold and by a localiser that had seen simulated patients only; so wider than the simulated. The upper ones come apart
#: or run together with shoulder and breastbone: their length says nothing. Shares that are missed: judgement.
SHOWING: dict[Ribs, Showing] = {
    Ribs.RUDIMENT: Showing(35.0, 18.0, 0.0, 0.15, 0.40),
    Ribs.TWELFTH: Showing(84.0, 19.0, 0.12, 0.03, 0.07),
    Ribs.ELEVENTH: Showing(160.0, 22.0, 0.10, 0.02, 0.01),
    Ribs.MIDDLE: Showing(200.0, 30.0, 0.20, 0.02, 0.01),
    Ribs.UPPER: Showing(280.0, 35.0, 0.95, 0.03, 0.02),
    Ribs.FIRST: Showing(280.0, 35.0, 0.95, 0.10, 0.05),
}
#: Sizes of people over the middle one, and how common they are: all ribs of somebody are longer or shorter.
SIZES: dict[float, float] = {0.80: 0.10, 0.90: 0.24, 1.00: 0.32, 1.10: 0.24, 1.22: 0.10}
#: A vertebra without ribs shows something like one: share of sides, and of pairs beyond that; mean length where it is a
#: transverse process, and the share that is some other bone, of any length up to the last figure. Of 18 lumbar vertebrae of
#: 5 real scans 3 showed a pair, of 7-15 mm, and 3 one, by a localiser that had seen simulated patients only.
FALSE_RIB, FALSE_PAIR, FALSE_RIB_MM = 0.10, 0.08, 13.0
FALSE_OTHER, FALSE_OTHER_MM = 0.05, 250.0
#: Both ribs of a person are alike: together they count as one and a half observations.
OF_TWO_SIDES = 0.75
#: Limits of the share of the centre map of bodies with ribs: the network reads it off the same ribs.
RIBBED_SHARE = (0.35, 0.65)

#: What is seen below the last body, by how many more vertebrae there are above the sacrum (-1: it is sacral itself; 2: or more).
#: Judgement; the simulated ones whose sacrum is in view show it at once without exception.
BELOW: dict[int, dict[Below, float]] = {
    -1: {Below.SACRUM: 0.60, Below.BODY: 0.05, Below.NOTHING: 0.35},
    0: {Below.SACRUM: 0.93, Below.BODY: 0.02, Below.NOTHING: 0.05},
    1: {Below.SACRUM: 0.02, Below.BODY: 0.90, Below.NOTHING: 0.08},
    2: {Below.SACRUM: 0.005, Below.BODY: 0.10, Below.NOTHING: 0.895},
}
#: How much more often the first body is T1, and how much less often each cervical one, than any other: scans of the chest
#: begin at the apex of the lungs, and the networks have not learnt necks.
FIRST_IS_T1, FIRST_IS_CERVICAL = 3.0, 0.3
#: Half a vertebra and half sacrum may be taken for either.
SACRUM_BELOW_LAST_BUT_ONE = 0.25
#: Sacral vertebrae taken for bodies, each, where the border of the field cuts the last one and elsewhere.
SACRAL_AS_BODY = {False: 0.10, True: 0.01}

#: Height of the iliac crests, in vertebrae above the last one: simulated 0.7-1.0, three real ones 0.3, 0.9 and 1.2; in the
#: literature the fourth lumbar disc (0.5). ``CREST_WRONG``: share that says nothing.
CREST, CREST_SD, CREST_WRONG = 0.75, 0.5, 0.05


#: Vertebrae above T1 and below the last lumbar one that a column holds.
CERVICAL, _SACRAL = 7, 2


@dataclass(frozen=True)
class HumanColumn:
    """A column from C1 to S2: ``names`` (None for cervical and sacral vertebrae), counted from T1; ``names_from_below``, where
    the last thoracic vertebra is called T12; ``ribs``; ``rate``: share of people; ``unusual``: it has not 17 vertebrae or not
    12 pairs of ribs; ``half_sacral``: its last vertebra is partly sacrum."""

    names: tuple[str | None, ...]
    names_from_below: tuple[str | None, ...]
    ribs: tuple[Ribs, ...]
    rate: float
    unusual: bool
    half_sacral: bool

    def after(self, place: float) -> float:
        """How many vertebrae there are between a place and the sacrum: 0 for the last one, negative in the sacrum."""
        return len(self.names) - 1 - _SACRAL - place


def _human(
    rate: float, ends: tuple[Ribs, ...], *, thoracic: int = 12, lumbar: int = 5, lumbar_ribs: int = 0, half_sacral: bool = False
) -> HumanColumn:
    """``ends``: ribs of the last thoracic vertebrae and of the first ``lumbar_ribs`` lumbar ones."""
    lumbar_names = [f"L{n}" for n in range(1, lumbar + 1)]
    from_t1, from_t12 = ([f"T{n}" for n in range(last - thoracic + 1, last + 1)] + lumbar_names for last in (thoracic, 12))
    ribs = [Ribs.FIRST] + [Ribs.UPPER] * (thoracic + lumbar_ribs - 4 - len(ends)) + [Ribs.MIDDLE] * 3 + list(ends)
    unusual = len(from_t1) != 17 or sum(each is not Ribs.NONE for each in ribs) != 12
    below = [Ribs.NONE] * (len(from_t1) - len(ribs) + _SACRAL)
    names, names_from_below = ((None,) * CERVICAL + tuple(each) + (None,) * _SACRAL for each in (from_t1, from_t12))
    return HumanColumn(names, names_from_below, (Ribs.NONE,) * CERVICAL + (*ribs, *below), rate, unusual, half_sacral)


_USUAL = (Ribs.ELEVENTH, Ribs.TWELFTH)

#: Everybody. Rates: orders of magnitude of the literature, whose sources differ by factors (low confidence).
COLUMNS: tuple[HumanColumn, ...] = (
    _human(0.730, _USUAL),
    # Twelfth ribs as long as eleventh ones.
    _human(0.015, (Ribs.ELEVENTH, Ribs.ELEVENTH)),
    _human(0.030, _USUAL, lumbar=6),
    _human(0.025, _USUAL, lumbar=6, half_sacral=True),
    _human(0.055, _USUAL, half_sacral=True),
    _human(0.015, _USUAL, lumbar=4),
    _human(0.015, _USUAL, thoracic=11),
    _human(0.010, (*_USUAL, Ribs.RUDIMENT), thoracic=13),
    _human(0.020, (*_USUAL, Ribs.RUDIMENT), lumbar_ribs=1),
    # Where the last pair is small or absent, the pairs above are short by one step in some and as usual in others.
    _human(0.035, (Ribs.ELEVENTH, Ribs.RUDIMENT)),
    _human(0.030, (*_USUAL, Ribs.RUDIMENT)),
    _human(0.010, (Ribs.ELEVENTH, Ribs.NONE)),
    _human(0.010, (*_USUAL, Ribs.NONE)),
)
