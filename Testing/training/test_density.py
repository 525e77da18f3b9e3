"""The study of the density network: crops with their truth, what it sees, its choice by folds, and the test that opens once."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
torch = pytest.importorskip("torch")

from VertebralBMDLib.network.architecture import DensityReader  # noqa: E402
from VertebralBMDLib.network.density import nominal_slope  # noqa: E402
from VertebralBMDLib.resources import resource, sha256  # noqa: E402
from VertebralBMDLib.simulation.cohort import draw_cohort  # noqa: E402
from VertebralBMDLib.training import density, density_readout, density_study  # noqa: E402
from VertebralBMDLib.training.config import DensityConfig, Schedule, Simulated, read_density_config  # noqa: E402
from VertebralBMDLib.training.crops import Crops  # noqa: E402
from VertebralBMDLib.training.density_batches import Augmentation, density_batches, middle  # noqa: E402
from VertebralBMDLib.training.density_study import Cohort, LockedTestOpened, study  # noqa: E402
from VertebralBMDLib.training.simulated_crops import simulated_crops, varied_cases  # noqa: E402

CONFIG = DensityConfig(
    Simulated(1, 4),
    Simulated(2, 12),
    Schedule(2, 4),
    Schedule(2, 4),
    Schedule(3, 8),
    crop_size=(16, 16, 16),
    spacing_mm=4.0,
    margin=(2, 2, 2),
)
#: Nothing but the linear error of a scanner.
PLAIN = Augmentation(turn_deg=0.0, shift_mm=0.0, calibrated=0.0, own=1.0, unknown_kvp=0.0, mineral=0.0, lesions=0.0, noise_hu=0.0)


def made_crops(count=12, seed=0, site="hospital-1", kvp=120.0):
    """A bright body in soft tissue whose HU say its density."""
    rng = np.random.default_rng(seed)
    vbmd = rng.uniform(50, 200, count).astype(np.float32)
    body = np.zeros((count, *CONFIG.shape), np.uint8)
    body[:, 5:15, 5:15, 5:15] = 255
    roi = np.zeros_like(body)
    roi[:, 7:13, 7:13, 7:13] = 255
    hu = np.where(body > 0, (vbmd / nominal_slope(120))[:, None, None, None], 30.0).astype(np.int16)
    numbers = {"kvp": kvp, "slope_error": 0.0, "intercept_hu": 0.0, "age": 60.0}
    texts = {"level": "L1", "site": site, "sex": "F"}
    return Crops(
        hu,
        body,
        roi,
        vbmd,
        patient=np.array([f"{site}-{i}" for i in range(count)]),
        eligible=np.arange(count) != 6,
        **{name: np.full(count, value, np.float32) for name, value in numbers.items()},
        **{name: np.full(count, value) for name, value in texts.items()},
    )


def made_cohort():
    """Two patients for each fold and two for the test."""
    return Cohort(made_crops(12, 1), np.array([0, 1, 2, 3, 4, -1] * 2))


def a_batch(crops, how=PLAIN, own=frozenset(), seed=1, batch=8):
    return next(density_batches(crops, batch, seed, CONFIG.crop_size, CONFIG.spacing_mm, own, how))


def test_crops_of_simulated_patients_show_their_density_and_are_kept(tmp_path):
    cases = [replace(case, spec=replace(case.spec, scanner=replace(case.spec.scanner, noise_hu=0.0))) for case in draw_cohort(5, 2)]
    first = simulated_crops(cases, "few", CONFIG.shape, CONFIG.spacing_mm, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = simulated_crops(cases, "few", CONFIG.shape, CONFIG.spacing_mm, tmp_path)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} and np.array_equal(first.hu, again.hu)
    assert first.hu.shape == (4, *CONFIG.shape) and first.patient.tolist() == ["P0001", "P0001", "P0002", "P0002"]
    z, y, x = (n // 2 for n in CONFIG.shape)
    assert first.body[:, z - 1 : z + 1, y - 1 : y + 1, x - 1 : x + 1].min() > 200
    assert first.roi.max() > 200 and np.all(first.body[first.roi > 200] > 200) and first.roi.sum() < 0.5 * first.body.sum()
    central = first.hu[:, z - 1 : z + 1, y - 1 : y + 1, x - 1 : x + 1].mean(axis=(1, 2, 3))
    read = nominal_slope(120) * (central - first.intercept_hu) / (1 + first.slope_error)
    assert np.abs(read - first.vbmd).max() < 45


def test_varied_patients_have_no_linear_error_and_every_second_an_even_density():
    cases = varied_cases(3, 40)
    assert {(case.spec.scanner.slope_error, case.spec.scanner.intercept_hu) for case in cases} == {(0.0, 0.0)}
    assert len({case.spec.scanner.kvp for case in cases}) == 4
    even = [case.spec.vbmd for case in cases[1::2]]
    assert min(even) < 60 and max(even) > 200


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


class Fixed(torch.nn.Module):
    """Says what it was told to, whatever it sees."""

    def __init__(self, reading, soft_roi, body):
        super().__init__()
        self.says = reading, soft_roi, body

    def found(self, hu):
        return None, None, *self.says[1:]

    def read(self, found, beam):
        return self.says[0]


def loss_of(readings=(100.0, 100.0), sd=5.0, body=9.0, at=(4, 4, 4), outlined=True):
    """The loss of a vertebra of 100 mg/cm³, looked at twice: the body fills the crop but for its first slices, which hold no bone."""
    inside = torch.ones(2, 1, 8, 8, 8)
    inside[:, :, :2] = 0.0
    weights = torch.zeros(2, 1, 8, 8, 8)
    weights[(slice(None), 0, *at)] = 1.0
    logits = torch.where(inside[:, :, ::2, ::2, ::2] > 0, body, -body)
    model = Fixed(torch.tensor([[reading, sd] for reading in readings]), weights, logits)
    batch = {
        "hu": torch.zeros_like(inside),
        "beam": torch.tensor([[0.74, 1.0, 0.0, 0.0]]).repeat(2, 1),
        "vbmd": torch.tensor([100.0, 100.0]),
        "body": inside * outlined,
        "roi": inside,
    }
    return float(density.density_loss(model, batch))


def test_the_loss_is_smallest_at_the_truth():
    assert loss_of() < loss_of((104.0, 104.0)) < loss_of((130.0, 130.0)) and loss_of() < loss_of((96.0, 96.0))
    assert loss_of((130.0, 130.0)) > loss_of((130.0, 130.0), sd=30.0)


def test_a_large_error_does_not_widen_every_interval():
    """One reading of ten is 60 mg/cm³ off, the others 3: the best common SD is near theirs."""
    vbmd = torch.full((20,), 100.0)
    off = torch.tensor([60.0] * 2 + [3.0, 3.0, -3.0, -3.0] * 4 + [3.0, 3.0])
    losses = {sd: float(density.reading_loss(torch.stack([vbmd + off, torch.full((20,), sd)], dim=1), vbmd)) for sd in (3.0, 5.0, 19.0)}
    assert min(losses, key=losses.get) < 10.0


def test_the_readout_learns_what_tissues_say_and_the_maps_stay(tmp_path, monkeypatch):
    """Fat and muscle tell the slope of a scanner; the file is read instead of training again."""
    torch.manual_seed(0)
    model = DensityReader().eval()

    def batches():
        generator = torch.Generator().manual_seed(1)
        while True:
            slope, vbmd = (torch.repeat_interleave(each, 2) for each in torch.rand(2, 16, generator=generator))
            slope, vbmd = 0.8 + 0.4 * slope, 50.0 + 150.0 * vbmd
            yield {"hu": torch.stack([slope, vbmd], dim=1), "beam": torch.tensor([[0.74, 1.0, 0.0, 0.0]]).repeat(32, 1), "vbmd": vbmd}

    def found(seen):
        tissues = torch.tensor([-100.0, 55.0, 40.0, -90.0, 50.0, 30.0, 45.0]) * seen[:, :1]
        bone = seen[:, :1] * seen[:, 1:] / 0.74
        return (
            torch.cat([tissues, torch.full_like(tissues, 10.0), bone, torch.full_like(bone, 30.0), torch.ones_like(bone)], dim=1),
            None,
            None,
            None,
        )

    model.found = found
    before = {name: value.clone() for name, value in model.state_dict().items()}
    monkeypatch.setattr(density_readout, "looks", lambda *_what: batches())
    config = replace(CONFIG, readout=Schedule(400, 64, 3e-3))
    density_readout.with_readout(model, None, frozenset(), config, tmp_path / "readout.pt")
    unseen = next(batches())
    with torch.inference_mode():
        error = model.read(found(unseen["hu"])[0], unseen["beam"])[:, 0] - unseen["vbmd"]
    fixed = unseen["hu"].prod(dim=1) - unseen["vbmd"]
    assert float(error.std()) < 0.5 * float(fixed.std())
    moved = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"line", "spread"}
    again = density_readout.with_readout(DensityReader().eval(), None, frozenset(), config, tmp_path / "readout.pt")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_the_loss_wants_two_looks_to_agree_the_body_to_be_found_and_the_weights_inside():
    assert loss_of((104.0, 104.0)) < loss_of((104.0, 96.0))
    assert loss_of() < loss_of(body=0.0) < loss_of(body=-9.0)
    assert loss_of() < loss_of(at=(0, 4, 4))
    assert loss_of(body=-9.0, outlined=False) == loss_of(outlined=False) < loss_of(at=(0, 4, 4), outlined=False)


def test_what_selects_a_network_is_what_it_says():
    truth = np.array([60.0, 100.0, 140.0, 180.0])
    found = density.judged(np.stack([truth + [4.0, -4.0, 4.0, -4.0], np.full(4, 10.0)], axis=1), truth)
    assert (found["mae"], found["rmse"], found["bias"]) == pytest.approx((4.0, 4.0, 0.0)) and found["covered_95"] == 1.0
    assert found["auc_osteoporosis"] == found["auc_low_bone_mass"] == found["accuracy_low_bone_mass"] == 1.0
    narrow = density.judged(np.stack([truth + 4.0, np.ones(4)], axis=1), truth)
    assert narrow["covered_95"] == 0.0
    assert density.judged(np.stack([truth + 100, np.ones(4)], axis=1), truth + 100)["auc_osteoporosis"] is None


def test_the_middle_of_a_crop_is_what_the_network_reads():
    crops = made_crops(2)
    hu, beam = middle(crops, CONFIG.crop_size, frozenset({"hospital-1"}))
    assert np.array_equal(hu[:, 0].numpy(), crops.hu[:, 2:18, 2:18, 2:18]) and beam[:, 3].tolist() == [1.0, 1.0]
    assert middle(crops, CONFIG.crop_size, frozenset())[1][:, 3].tolist() == [0.0, 0.0]


def test_a_patient_in_two_parts_is_refused():
    crops = made_crops(2)
    crops = replace(crops, patient=np.array(["a", "a"]))
    with pytest.raises(ValueError, match="A patient is in more than one part"):
        Cohort(crops, np.array([0, 1]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole study of a few steps."""
    output = tmp_path_factory.mktemp("study") / "out Ω"
    return study(CONFIG, made_crops(6, 2, "site-1"), made_cohort(), output, output.parent / "opened.json")


def test_a_study_ships_the_head_that_the_folds_chose_with_what_they_found(finished):
    card = json.loads(finished.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["sha256"] == sha256(finished) and card["crop"] == {"shape": [16, 16, 16], "spacing_mm": 4.0, "hu_window": [-300.0, 900.0]}
    other = json.loads((finished.parent / f"{density_study.COMPARED}.json").read_text(encoding="utf-8"))
    heads, steps = card["results"]["heads"], card["results"]["chosen by the folds"]["steps"]
    shipped, compared = (each["training"]["head"] for each in (card, other))
    assert {shipped, compared} == set(heads) == set(density_study.HEADS)
    assert heads[shipped][str(steps)]["rmse"] <= min(values["rmse"] for values in heads[compared].values())
    assert card["results"]["validation, after correction"]["n"] == 9
    assert card["results"]["validation, after correction"]["covered_95"] >= 0.8


def test_the_locked_test_is_opened_once(finished):
    record = finished.parent.parent / "opened.json"
    opened = json.loads(record.read_text(encoding="utf-8"))
    assert opened["sha256"] == sha256(finished) and opened["eligible"]["n"] == opened["all"]["n"] == 2
    rows = list(csv.DictReader((finished.parent / "density-readings.csv").open(encoding="utf-8")))
    assert [row["split"] for row in rows] == ["validation"] * 10 + ["test"] * 2 and {row["eligible"] for row in rows} == {"yes", "no"}
    assert json.loads(finished.with_suffix(".json").read_text(encoding="utf-8"))["results"]["locked test"] == opened
    again = study(CONFIG, made_crops(6, 2, "site-1"), made_cohort(), finished.parent, record)
    assert json.loads(record.read_text(encoding="utf-8")) == opened
    assert json.loads(again.with_suffix(".json").read_text(encoding="utf-8"))["results"]["locked test"] == opened
    assert len((finished.parent / "density-readings.csv").read_text(encoding="utf-8").splitlines()) == 13
    record.write_text(json.dumps(opened | {"sha256": "another"}), encoding="utf-8")
    with pytest.raises(LockedTestOpened, match="Draw another cohort"):
        study(CONFIG, made_crops(6, 2, "site-1"), made_cohort(), finished.parent, record)
    record.write_text(json.dumps(opened), encoding="utf-8")


def test_corrected_references_make_another_study(finished):
    cohort = made_cohort()
    corrected = replace(cohort, crops=replace(cohort.crops, vbmd=cohort.crops.vbmd + 1))
    with pytest.raises(ValueError, match="holds a training with another cohort's crops"):
        study(CONFIG, made_crops(6, 2, "site-1"), corrected, finished.parent, finished.parent.parent / "opened.json")


def test_an_opened_test_refuses_another_study_before_it_begins(finished, tmp_path):
    with pytest.raises(LockedTestOpened):
        study(CONFIG, made_crops(6, 2, "site-1"), made_cohort(), tmp_path, finished.parent.parent / "opened.json")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["options.json"]


def test_another_study_does_not_go_on_in_the_same_folder(finished):
    with pytest.raises(ValueError, match="holds a training with another seed"):
        study(replace(CONFIG, seed=5), made_crops(6, 2, "site-1"), made_cohort(), finished.parent, finished.parent.parent / "opened.json")


@pytest.mark.parametrize("name", ["density-small.json", "density-training.json"])
def test_the_shipped_configurations_can_be_read(name):
    config = read_density_config(resource("Models", name))
    assert config.varied.patients > 0 and config.cohort.patients > 0 and config.varied.seed != config.cohort.seed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crop_size": (20, 16, 16)}, "crop_size must be three whole multiples of 8"),
        ({"spacing_mm": 0.1}, "spacing_mm must be within"),
        ({"crop_normalizers": (300.0, 100.0)}, "crop_normalizers must ascend"),
        ({"margin": (1, 1)}, "margin must be three"),
        ({"heads": ("guess",)}, "heads must be of tissues and pooling"),
        ({"training": Schedule(2, 3)}, "batch must be a multiple of 2"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        replace(CONFIG, **change)
