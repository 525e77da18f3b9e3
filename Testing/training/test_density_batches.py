"""What the density network sees in training: poses, scanners, mineral and lesions."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
torch = pytest.importorskip("torch")

from made_crops import CONFIG, made_crops  # noqa: E402

from VertebralBMDLib.network.density import nominal_slope  # noqa: E402
from VertebralBMDLib.training.crops import Crops  # noqa: E402
from VertebralBMDLib.training.density_batches import Augmentation, density_batches, middle  # noqa: E402

#: Nothing but the linear error of a scanner.
PLAIN = Augmentation(
    turn_deg=0.0, shift_mm=0.0, calibrated=0.0, own=1.0, unknown_kvp=0.0, mineral=0.0, uneven=0.0, smooth=0.0, lesions=0.0, noise_hu=0.0
)


def a_batch(crops, how=PLAIN, own=frozenset(), seed=1, batch=8):
    return next(density_batches(crops, batch, seed, CONFIG.crop_size, CONFIG.spacing_mm, own, how))


def test_a_new_scanner_changes_the_hu_and_not_the_truth():
    crops = made_crops()
    batch = a_batch(crops, batch=32)
    body = batch["hu"][:, 0, 6:10, 6:10, 6:10].mean(dim=(1, 2, 3))
    ratio = body / (batch["vbmd"] / nominal_slope(120))
    assert 0.02 < float(ratio.std()) < 0.2 and set(batch["vbmd"].tolist()) <= set(crops.vbmd.tolist())
    assert torch.equal(batch["beam"], torch.tensor([[nominal_slope(120), 1.0, 0.0, 0.0]]).repeat(32, 1))


def test_the_own_scanner_stays_as_it_is_and_a_phantom_undoes_a_scanner():
    crops = made_crops(kvp=80.0)
    own = a_batch(crops, PLAIN, frozenset({"hospital-1"}))
    body = own["hu"][:, 0, 6:10, 6:10, 6:10].mean(dim=(1, 2, 3))
    assert torch.allclose(body, own["vbmd"] / nominal_slope(120), atol=1.0)
    calibrated = a_batch(crops, replace(PLAIN, calibrated=1.0))
    body = calibrated["hu"][:, 0, 6:10, 6:10, 6:10].mean(dim=(1, 2, 3))
    expected = calibrated["vbmd"] / nominal_slope(120) * nominal_slope(80) / nominal_slope(120)
    assert torch.allclose(body, expected, atol=12.0) and set(calibrated["beam"][:, 2].tolist()) == {1.0}


def test_vertebrae_of_other_sites_are_seen_on_own_scanners_too():
    own = replace(made_crops(4), slope_error=np.full(4, 0.3, np.float32))
    crops = Crops.joined([made_crops(40, 7, "site-3", kvp=80.0), own])
    batch = a_batch(crops, replace(PLAIN, slope_sd=0.0, intercept_sd_hu=0.0, own=0.5), frozenset({"hospital-1"}), batch=80)
    ratio = batch["hu"][:, 0, 7:9, 7:9, 7:9].mean(dim=(1, 2, 3)) * nominal_slope(120) / batch["vbmd"]
    other, told = batch["beam"][:, 0] < 0.6, batch["beam"][:, 3] > 0.5
    expected = torch.where(told, 1.0, 1.0 / 1.3) * torch.where(other, 1.3, 1.0)
    assert torch.allclose(ratio, expected, atol=0.03) and 10 < int((told & other).sum()) < 30


@pytest.mark.parametrize("kvp", [80.0, 120.0])
@pytest.mark.parametrize("site", ["hospital-1", "another"])
def test_added_mineral_is_seen_through_the_scanner(kvp, site):
    """The crop's own scanner reads 20 % too much, an unseen one nothing wrong, and a phantom corrects to 120 kV."""
    crops = replace(made_crops(kvp=kvp), slope_error=np.full(12, 0.2, np.float32))
    how = replace(PLAIN, mineral=1.0, mineral_mg_cm3=(50.0, 50.0), slope_sd=0.0, intercept_sd_hu=0.0)
    plain = replace(how, mineral=0.0)
    own = frozenset({site})
    moved, still = (a_batch(crops, each, own)["hu"][:, 0, 7:9, 7:9, 7:9].mean() for each in (how, plain))
    error = 1.2 if site == "hospital-1" else 1.0
    assert float(moved - still) == pytest.approx(50.0 * error / nominal_slope(kvp), rel=0.05)
    calibrated = [a_batch(crops, replace(each, calibrated=1.0)) for each in (how, plain)]
    moved, still = (each["hu"][:, 0, 7:9, 7:9, 7:9].mean() for each in calibrated)
    assert float(moved - still) == pytest.approx(50.0 / nominal_slope(120.0), rel=0.05)


def test_nothing_is_added_where_nobody_knows_the_line_or_the_body():
    how = replace(PLAIN, mineral=1.0, mineral_mg_cm3=(50.0, 50.0))
    unknown = {name: np.full(12, np.nan, np.float32) for name in ("slope_error", "intercept_hu", "kvp")}
    for crops in (replace(made_crops(), **unknown), replace(made_crops(), body=np.zeros_like(made_crops().body))):
        batch = a_batch(crops, how)
        assert set(batch["vbmd"].tolist()) <= set(crops.vbmd.tolist()) and bool(torch.isfinite(batch["hu"]).all())


def test_added_mineral_moves_the_truth_as_it_moves_the_bone():
    crops = made_crops()
    how = replace(PLAIN, mineral=1.0, mineral_mg_cm3=(50.0, 50.0), slope_sd=0.0, intercept_sd_hu=0.0)
    batch = a_batch(crops, how)
    body = batch["hu"][:, 0, 7:9, 7:9, 7:9].mean(dim=(1, 2, 3))
    assert torch.allclose(body * nominal_slope(120), batch["vbmd"], atol=1.0) and float(batch["vbmd"].min()) > 100
    corner = batch["hu"][:, 0, 0, 0, 0]
    assert torch.allclose(corner, torch.full_like(corner, 30.0), atol=1.0)


def test_two_looks_at_a_vertebra_share_its_scanner_and_differ_by_their_mineral():
    crops = made_crops()
    how = replace(PLAIN, mineral=0.5, mineral_mg_cm3=(20.0, 60.0), unknown_kvp=0.5)
    batch = a_batch(crops, how, batch=64)
    first, second = batch["beam"][::2], batch["beam"][1::2]
    assert torch.equal(first, second) and 0.0 < float(first[:, 1].mean()) < 1.0
    soft = batch["hu"][:, 0, 0, 0, 0]
    assert torch.allclose(soft[::2], soft[1::2], atol=1e-3) and float(soft.std()) > 1.0
    middle_hu = batch["hu"][:, 0, 7:9, 7:9, 7:9].mean(dim=(1, 2, 3))
    response = (middle_hu[::2] - middle_hu[1::2]) / (batch["vbmd"][::2] - batch["vbmd"][1::2])
    moved = torch.isfinite(response)
    assert 8 < int(moved.sum()) < 32
    assert torch.allclose(response[moved] * nominal_slope(120), torch.ones(int(moved.sum())), atol=0.3)


def uneven_looks(lesions):
    how = replace(PLAIN, slope_sd=0.0, intercept_sd_hu=0.0, uneven=1.0, lesions=lesions)
    batch = a_batch(made_crops(), how, batch=40)
    return batch, batch["hu"] * nominal_slope(120)


def test_uneven_bone_has_the_mean_of_its_roi_as_its_reference():
    batch, mineral = uneven_looks(0.0)
    means = (batch["roi"] * mineral).sum((1, 2, 3, 4)) / batch["roi"].sum((1, 2, 3, 4))
    # Half a HU of rounding in the crops, and the other kernels of some looks.
    assert torch.allclose(means, batch["vbmd"], atol=1.5) and not set(batch["vbmd"].tolist()) & set(made_crops().vbmd.tolist())
    assert 10.0 < max(float(mineral[row][batch["roi"][row] > 0.99].std()) for row in range(40)) < 60.0
    assert torch.allclose(batch["hu"][:, 0, 0, 0, 0], torch.full((40,), 30.0)), "soft tissue stays"


def test_uneven_bone_with_a_lesion_has_the_mean_of_what_the_lesion_leaves():
    batch, mineral = uneven_looks(1.0)
    whole, large = batch["roi"] + batch["lesion"], batch["lesion"].sum((1, 2, 3, 4)) > 10.0
    left = torch.stack([mineral[row][batch["roi"][row] > 0.99].mean() for row in range(40)])
    everywhere = torch.stack([mineral[row][whole[row] > 0.99].mean() for row in range(40)])
    of_left, of_everywhere = ((means - batch["vbmd"]).abs()[large].median() for means in (left, everywhere))
    assert int(large.sum()) > 5 and float(of_left) < 2.5 < 5.0 < float(of_everywhere)


def test_smooth_bone_keeps_its_mean_and_loses_fine_structure():
    crops, still = made_crops(4), replace(PLAIN, slope_sd=0.0, intercept_sd_hu=0.0)
    noise = np.random.default_rng(0).normal(0.0, 40.0, crops.hu.shape)
    crops = replace(crops, hu=(crops.hu + np.where(crops.body > 0, noise, 0.0)).astype(np.int16))
    whole, smooth = (a_batch(crops, replace(still, smooth=share), batch=40) for share in (0.0, 1.0))
    inside = whole["roi"] > 0.99
    before, after = (
        [float(f(each["hu"][row][inside[row]])) for each in (whole, smooth) for row in range(40)] for f in (torch.std, torch.mean)
    )
    assert np.median(np.divide(before[40:], before[:40])) < 0.8 and np.ptp(np.subtract(after[40:], after[:40])) < 15.0
    assert torch.equal(whole["vbmd"], smooth["vbmd"])


def test_painted_lesions_lie_in_the_body_and_leave_the_reference_to_the_bone_around_them():
    crops, still = made_crops(), replace(PLAIN, slope_sd=0.0, intercept_sd_hu=0.0)
    plain, painted = a_batch(crops, still, batch=40), a_batch(crops, replace(still, lesions=1.0), batch=40)
    inside, bone = painted["body"] > 0.99, painted["roi"] > 0.99
    away = (painted["hu"] - (painted["vbmd"] / nominal_slope(120))[:, None, None, None, None]).abs()
    assert set(painted["vbmd"].tolist()) <= set(crops.vbmd.tolist())
    changed = torch.stack([away[row][inside[row] & ~bone[row]].amax() for row in range(40)])
    # A body without a single lesion is one that a lesion would have filled.
    assert int((changed > 30.0).sum()) > 20 and float(painted["hu"].max()) > 400.0 and float(painted["hu"].min()) > -60.0
    untouched = torch.stack([away[row][bone[row]].median() for row in range(40)])
    assert float(untouched.max()) < 10.0
    left = painted["roi"].sum((1, 2, 3, 4)) / plain["roi"].sum((1, 2, 3, 4))
    assert 0.15 < float(left.min()) < 0.9
    assert torch.allclose(painted["roi"] + painted["lesion"], plain["roi"]) and float(plain["lesion"].abs().max()) == 0.0
    nowhere = a_batch(replace(crops, body=np.zeros_like(crops.body)), replace(still, lesions=1.0))
    assert float((nowhere["hu"] - a_batch(crops, still)["hu"]).abs().max()) < 1e-3, "nobody has outlined the body"


def test_the_body_and_the_roi_move_with_the_crop():
    batch = a_batch(made_crops(), replace(PLAIN, turn_deg=20.0, shift_mm=8.0, slope_sd=0.0, intercept_sd_hu=0.0))
    inside = batch["roi"] > 0.99
    assert torch.all(batch["body"][inside] > 0.8) and 0 < int(inside.sum()) < 0.6 * int((batch["body"] > 0.5).sum())
    body = [batch["hu"][row][inside[row]].mean() for row in range(8)]
    assert torch.allclose(torch.stack(body) * nominal_slope(120), batch["vbmd"], rtol=0.05)
    places = {tuple(torch.argwhere(share > 0.5).float().mean(0).round(decimals=1).tolist()) for share in batch["body"][:, 0]}
    assert len(places) > 4


def test_a_crop_that_is_not_turned_is_not_interpolated():
    crops = made_crops(1)
    crops = replace(crops, hu=np.random.default_rng(1).integers(-100, 300, crops.hu.shape).astype(np.int16))
    batch = a_batch(crops, replace(PLAIN, slope_sd=0.0, intercept_sd_hu=0.0), batch=32)
    plain = middle(crops, CONFIG.crop_size, frozenset())[0][0]
    same = [min(float((look - each).abs().max()) for each in (plain, plain.flip(-1))) < 0.01 for look in batch["hu"]]
    # The others are seen through another kernel.
    assert 8 <= sum(same) < 32


def test_half_of_a_batch_comes_from_the_cohort():
    crops = Crops.joined([made_crops(40, 7, "site-3"), made_crops(4)])
    batch = a_batch(crops, own=frozenset({"hospital-1"}), batch=40)
    own = set(made_crops(4).vbmd.tolist())
    assert sum(value in own for value in batch["vbmd"].tolist()) >= 20


def test_the_middle_of_a_crop_is_what_the_network_reads():
    crops = made_crops(2)
    hu, beam = middle(crops, CONFIG.crop_size, frozenset({"hospital-1"}))
    assert np.array_equal(hu[:, 0].numpy(), crops.hu[:, 2:18, 2:18, 2:18]) and beam[:, 3].tolist() == [1.0, 1.0]
    assert middle(crops, CONFIG.crop_size, frozenset())[1][:, 3].tolist() == [0.0, 0.0]
