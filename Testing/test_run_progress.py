"""How far a run is and how long it takes, on a clock of the test."""

import pytest

from VertebralBMDLib.run_progress import RunProgress


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def feed(progress, clock, *steps):
    """(seconds that pass, stage, fraction)."""
    for seconds, stage, fraction in steps:
        clock.now += seconds
        progress.update(dict(event="progress", stage=stage, fraction=fraction))


def test_per_cent_only_grow_and_end_at_all(clock):
    progress, seen = RunProgress(clock=clock), []
    for stage in ("loading", "segmentation", "roi", "calibration", "measurement", "assessment", "report"):
        for fraction in (0.0, 0.5, 1.0):
            feed(progress, clock, (1, stage, fraction))
            seen.append(progress.percent)
    assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == 100


def test_no_forecast_before_there_is_something_to_go_by(clock):
    progress = RunProgress(clock=clock)
    assert progress.remaining_s is None and progress.sentence() == ""
    clock.now += 60  # The worker starts.
    feed(progress, clock, (0, "loading", 0.0), (1, "loading", 1.0))
    assert progress.remaining_s is None and progress.sentence() == "Loading the scan…"


def test_the_remaining_time_follows_the_pace_of_this_run(clock):
    progress = RunProgress(clock=clock)
    feed(progress, clock, (0, "loading", 0.0), (3, "loading", 1.0), (67, "segmentation", 1.0))
    assert progress.remaining_s == pytest.approx(30) and progress.sentence() == "Finding the vertebrae… About 30 s left."
    clock.now += 70
    assert progress.remaining_s == pytest.approx(60)


def test_an_earlier_run_says_which_stages_take_long(clock):
    first = RunProgress(clock=clock)
    feed(first, clock, (0, "segmentation", 0.0), (10, "segmentation", 1.0), (0, "roi", 0.0), (90, "roi", 1.0))
    assert first.seconds == {"segmentation": 10, "roi": 90}
    second = RunProgress(first.seconds, clock)
    feed(second, clock, (0, "segmentation", 0.0), (10, "segmentation", 1.0))
    # 10 of 10 + 90 seconds, and the shares of the stages that were not timed, on the same scale.
    assert second.percent == round(100 * (10 + 3 * 100 / 77) / (100 + 23 * 100 / 77))
    assert second.remaining_s > 60 and RunProgress(clock=clock).remaining_s is None


def test_a_stage_that_took_no_time_does_no_harm(clock):
    progress = RunProgress({"loading": 0.0, "segmentation": 0.0}, clock)
    feed(progress, clock, (0, "segmentation", 1.0))
    assert progress.percent == 0
