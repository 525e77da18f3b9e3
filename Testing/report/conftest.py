"""The measurements that the tests of the report room share."""

from __future__ import annotations

import pytest
from report_case import measurement

from VertebralBMDLib.pipeline import Measurement


@pytest.fixture(scope="session")
def calibrated() -> Measurement:
    return measurement()


@pytest.fixture(scope="session")
def uncalibrated() -> Measurement:
    return measurement(calibrated=False, orientation="PIR")
