"""Training: data, one restartable loop, export with a checksum; small enough to run on a laptop."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("monai", reason="training needs monai (pip install vertebral-bmd[train])")
torch = pytest.importorskip("torch")

from VertebralBMDLib.anatomy import LABELS  # noqa: E402
from VertebralBMDLib.network.architecture import DensityReader, Localiser, Refiner  # noqa: E402
from VertebralBMDLib.resources import sha256  # noqa: E402
from VertebralBMDLib.training import density, segmentation  # noqa: E402
from VertebralBMDLib.training.annotated import annotated, annotated_scans  # noqa: E402
from VertebralBMDLib.training.commands import TrainingOptions, train  # noqa: E402
from VertebralBMDLib.training.export import export  # noqa: E402
from VertebralBMDLib.training.loop import fit  # noqa: E402
from VertebralBMDLib.training.simulated import simulated_scans  # noqa: E402

SEED = 6  # a field that cuts bodies


@pytest.fixture(scope="module")
def simulated():
    return next(simulated_scans(1, 3.0, seed=SEED))


def line_batches():
    """Points on y = 3x - 2."""
    rng = np.random.default_rng(0)
    while True:
        x = torch.from_numpy(rng.normal(size=(16, 1)).astype(np.float32))
        yield {"x": x, "y": 3 * x - 2}


def squared(model, batch):
    return ((model(batch["x"]) - batch["y"]) ** 2).mean()


def fitted(folder, steps, batches=None, seed=0):
    torch.manual_seed(seed)
    return fit(torch.nn.Linear(1, 1), batches or line_batches(), squared, folder, steps, learning_rate=0.1)


def test_the_loop_learns_and_logs_a_falling_loss(tmp_path):
    model = fitted(tmp_path, 250)
    assert not model.training and float(model.weight) == pytest.approx(3.0, abs=0.05) and float(model.bias) == pytest.approx(-2.0, abs=0.05)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [100, 200, 250] and log[-1]["loss"] < log[0]["loss"] / 10


def test_a_finished_training_is_not_repeated_and_a_broken_one_goes_on(tmp_path):
    def breaking(after):
        for number, batch in enumerate(line_batches()):
            if number == after:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, 250, breaking(150))
    used = []
    rest = (used.append(1) or batch for batch in line_batches())
    model = fitted(tmp_path, 250, rest, seed=9)
    assert len(used) == 150 and float(model.weight) == pytest.approx(3.0, abs=0.05)
    again = fitted(tmp_path, 250, iter(()), seed=5)
    assert float(again.weight) == float(model.weight)


@pytest.mark.parametrize(
    ("network", "shape", "expected"),
    [
        (Localiser, (1, 1, 32, 48, 32), (1, 2, 32, 48, 32)),
        (Refiner, (2, 1, 48, 48, 48), (2, 1, 48, 48, 48)),
        (DensityReader, (3, 1, 32, 32, 32), (3, 2)),
    ],
)
def test_networks_map_hu_to_what_they_promise(network, shape, expected):
    torch.manual_seed(0)
    with torch.inference_mode():
        out = network().eval()(torch.randn(shape) * 200)
    assert tuple(out.shape) == expected and bool(torch.isfinite(out).all())


def test_the_density_reader_never_claims_to_be_certain():
    with torch.inference_mode():
        sd = DensityReader().eval()(torch.randn(4, 1, 32, 32, 32) * 300)[:, 1]
    assert bool((sd > 1.0).all())


def test_an_exported_network_repeats_the_trained_one_and_its_card_holds_its_checksum(tmp_path):
    torch.manual_seed(0)
    model, example = DensityReader().eval(), torch.randn(2, 1, 32, 32, 32) * 100
    path = export(model, example, tmp_path, "density", {"steps": 3}, {"rmse": 1.0})
    card = json.loads((tmp_path / "density.json").read_text(encoding="utf-8"))
    assert (
        card["sha256"] == sha256(path)
        and card["parameters"] == sum(p.numel() for p in model.parameters())
        and card["training"] == {"steps": 3}
    )
    with torch.inference_mode():
        torch.testing.assert_close(torch.jit.load(str(path))(example), model(example), atol=1e-3, rtol=1e-4)


def test_simulated_crops_are_kept_and_read_again(tmp_path):
    first = density.simulated_crops(3, 7, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = density.simulated_crops(3, 7, tmp_path)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    for a, b in zip(first, again):
        assert np.array_equal(a, b)
    hu, vbmd = first
    assert hu.shape == (3, 38, 38, 38) and hu.dtype == np.int16 and len(set(vbmd.tolist())) == 3 and np.all((vbmd > 0) & (vbmd < 300))
    other, _vbmd = density.simulated_crops(3, 8, tmp_path)
    assert not np.array_equal(hu, other)


def test_density_batches_are_windows_of_the_crops_with_their_own_truth(tmp_path):
    hu = np.stack([np.full((38, 38, 38), value, np.int16) for value in (0, 500)])
    batch = next(density.density_batches(hu, np.array([50.0, 200.0], np.float32), 16, 1))
    assert tuple(batch["hu"].shape) == (16, 1, 32, 32, 32)
    means = batch["hu"].mean(dim=(1, 2, 3, 4))
    assert set(batch["vbmd"].tolist()) == {50.0, 200.0} and torch.equal(means > 250, batch["vbmd"] > 100)


def test_the_density_loss_is_smallest_at_the_truth():
    def loss(reading, sd=5.0):
        return float(density.density_loss(lambda hu: torch.tensor([[reading, sd]]), {"hu": None, "vbmd": torch.tensor([100.0])}))

    assert loss(100.0) < loss(104.0) < loss(130.0) and loss(100.0) < loss(96.0)
    assert loss(130.0, sd=5.0) > loss(130.0, sd=30.0)


def test_the_evaluation_says_how_far_the_readings_are_from_the_truth():
    truth = np.linspace(50, 200, 40)
    crops = np.stack([np.full((38, 38, 38), value) for value in truth]).astype(np.int16)
    found = density.evaluated(lambda hu: torch.stack([hu.mean(dim=(1, 2, 3, 4)) + 4.0, torch.ones(len(hu))], dim=1), crops, np.trunc(truth))
    assert (
        found["crops"] == 40
        and found["bias_mg_cm3"] == pytest.approx(4.0)
        and found["rmse_mg_cm3"] == pytest.approx(4.0)
        and found["mae_mg_cm3"] == pytest.approx(4.0)
    )
    assert (
        found["sd_mg_cm3"] == pytest.approx(0.0, abs=1e-4)
        and found["pearson"] == pytest.approx(1.0)
        and found["constant_predictor_rmse_mg_cm3"] == pytest.approx(np.trunc(truth).std())
    )


def annotated_folder(folder):
    hu, bodies = np.full((20, 24, 24), 30, np.int16), np.zeros((20, 24, 24), np.uint8)
    bodies[4:14, 6:18, 6:18], bodies[15:20, 6:18, 6:18] = 20, 119
    hu[bodies > 0] = 200
    for name, array in (("CT_a", hu), ("BODIES_a", bodies), ("CT_b", hu), ("BODIES_b", bodies), ("CT_c", hu)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((2.0, 2.0, 3.0))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))


def test_annotated_scans_are_read_with_their_bodies_and_centres(tmp_path):
    annotated_folder(tmp_path)
    scans = annotated_scans(tmp_path, 3.0)
    assert [scan.name for scan in scans] == ["a", "b"]
    scan = scans[0]
    assert set(np.unique(scan.labels)) == {0, 20, 119} and set(scan.centres) == {20, 119}
    assert (scan.labels == 20).sum() * 27 == pytest.approx(10 * 3 * 12 * 2 * 12 * 2, rel=0.05)
    assert scan.hu[scan.labels == 20].mean() == pytest.approx(200, abs=20)
    assert scan.centres[20] == pytest.approx([(4 + 13) / 2, 7.5, 7.5], abs=0.6)
    assert [each.name for each in annotated_scans(tmp_path, 3.0, frozenset({"a"}))] == ["b"]
    with pytest.raises(FileNotFoundError, match=r"CT_\*"):
        annotated_scans(tmp_path, 3.0, frozenset({"a", "b"}))


def test_simulated_scans_repeat_by_seed_and_mark_what_is_cut(simulated):
    again = next(simulated_scans(1, 3.0, seed=SEED))
    assert np.array_equal(simulated.hu, again.hu) and np.array_equal(simulated.labels, again.labels)
    present = {int(label) for label in np.unique(simulated.labels)} - {0}
    assert {label % 100 for label in present} <= set(LABELS.values())
    assert any(label < 100 for label in present) and any(label > 100 for label in present)


def test_localiser_batches_show_centres_inside_bodies_and_no_weight_on_cut_ones(simulated):
    batch = next(segmentation.localise_batches([], [simulated], 2, 0))
    assert {key: tuple(value.shape) for key, value in batch.items()} == dict.fromkeys(
        ("hu", "body", "centre", "weight"), (2, 1, 64, 64, 64)
    )
    assert float(batch["centre"][batch["body"] > 0.5].mean()) > 3 * float(batch["centre"][batch["body"] < 0.5].mean())
    case = segmentation._localise_case(simulated)
    assert np.all(case["weight"][0][simulated.labels > 100] == 0) and case["body"][0][simulated.labels > 100].sum() == 0
    for label, centre in simulated.centres.items():
        if label < 100:
            assert case["centre"][0][tuple(np.round(centre).astype(int))] > 0.9


def test_refiner_batches_are_centred_on_one_body(simulated):
    batch = next(segmentation.refine_batches([simulated], [], 3, 0))
    assert tuple(batch["hu"].shape) == (3, 1, 48, 48, 48)
    for body in batch["body"]:
        places = torch.nonzero(body[0] > 0.5).float()
        assert len(places) and float((places.mean(0) - 23.5).norm()) < 12.0


def test_losses_fall_when_a_network_fits_what_it_is_shown(simulated):
    torch.manual_seed(0)
    model, batch = Localiser((4, 8, 16)), next(segmentation.localise_batches([], [simulated], 1, 0))
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        losses.append(segmentation.localise_loss(model, batch))
        losses[-1].backward()
        optimiser.step()
    assert float(losses[-1]) < 0.7 * float(losses[0])


def test_a_training_from_simulation_to_the_exported_model(tmp_path, monkeypatch):
    from VertebralBMDLib.training import commands

    monkeypatch.setattr(commands, "_UNSEEN_CROPS", 4)
    path = train(TrainingOptions("density", tmp_path / "out Ω", steps=2, batch=2, seed=3, simulated=4))
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert path == tmp_path / "out Ω" / "density.ts" and card["sha256"] == sha256(path)
    assert card["training"]["seed"] == 3 and card["training"]["steps"] == 2 and card["results"]["simulated, never seen"]["crops"] == 4
    assert str(tmp_path) not in json.dumps(card)


@pytest.mark.parametrize(("options", "words"), [(("nothing", 4), "localise, refine, density"), (("density", 0), "--simulated")])
def test_a_training_that_makes_no_sense_is_refused(tmp_path, options, words):
    network, simulated = options
    with pytest.raises(ValueError, match=words):
        train(TrainingOptions(network, tmp_path, steps=1, simulated=simulated))


def test_annotated_reads_oblique_and_permuted_scans_alike():
    rng = np.random.default_rng(0)
    hu, bodies = rng.normal(0, 60, (20, 24, 24)).astype(np.int16), np.zeros((20, 24, 24), np.uint8)
    bodies[4:14, 6:18, 4:18] = 20
    images = [sitk.GetImageFromArray(array) for array in (hu, bodies)]
    straight, permuted = annotated("a", *images, 3.0), annotated("a", *(sitk.DICOMOrient(image, "PIR") for image in images), 3.0)
    assert np.array_equal(straight.labels, permuted.labels) and np.abs(straight.hu.astype(int) - permuted.hu).max() <= 1
