"""Encoders: averages with the starting weights, and whitening, are what the formulas say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import SHAPES, draw
from satchel.errors import UsageError
from satchel.images import encode_jpeg
from satchel.progress import SILENT
from satchel.records import WHOLE_PHOTO

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

from safetensors.torch import load_file, save_file

from satchel.train.batches import TrainingPhotos
from satchel.train.classifier import write_products
from satchel.train.distances import ledoit_wolf
from satchel.train.encoder import (
    EncoderTask,
    MetricObjective,
    load_encoder,
    network_embeddings,
    train_encoder,
    untrained_encoder,
    validate,
)
from satchel.train.losses import make_loss
from satchel.train.losses.whitening import WhiteningLayer
from satchel.train.pretrained import create
from satchel.train.runs import Run, new_record
from satchel.train.settings import EncoderSettings
from support.naive_distances import euclidean, mahalanobis

NAMES = tuple(SHAPES)[:3]
SHARES = (0.0, 0.5)


def photos(seeds: range) -> TrainingPhotos:
    data = {f"{name}{seed}": encode_jpeg(draw(name, seed), 90) for name in NAMES for seed in seeds}
    labels = np.array([NAMES.index(key.rstrip("0123456789")) for key in data])
    return TrainingPhotos(tuple(data), labels, (WHOLE_PHOTO,) * len(data), data.__getitem__)


@pytest.fixture(scope="module")
def task() -> EncoderTask:
    return EncoderTask(NAMES, photos(range(4)), photos(range(4, 7)), None)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> EncoderSettings:
    weights = tmp_path_factory.mktemp("weights") / "start.safetensors"
    torch.manual_seed(3)
    save_file(create("small_cnn", weights="none").network.state_dict(), weights)
    return EncoderSettings(
        backbone="small_cnn",
        weights=str(weights),
        loss="supcon",
        epochs=1,
        batch=6,
        photos_each=2,
        side_px=64,
        precision="fp32",
        average=0.0,
        threads=1,
    )


def trained(task: EncoderTask, settings: EncoderSettings, folder: Path) -> Run:
    record = new_record("encoder", "train encoder", settings, "r")
    run = Run.create(folder, record)
    write_products(run, NAMES)
    train_encoder(task, settings, run, progress=SILENT, on_epoch=lambda epoch, figures: None)
    return run


def test_the_blend_that_validates_best_is_kept(
    task: EncoderTask, settings: EncoderSettings, tmp_path: Path
) -> None:
    plain = trained(task, settings, tmp_path)
    tried = settings.model_copy(update={"blend_with_start": SHARES})
    run = trained(task, tried, tmp_path)
    before, after = load_file(settings.weights), load_file(plain.best)
    backbone, _ = load_encoder(plain)
    scores, mixtures = {}, {}
    for share in (*SHARES, 1.0):
        mixtures[share] = {
            name: (1 - share) * value + share * after[f"backbone.network.{name}"]
            for name, value in before.items()
            if value.is_floating_point()
        }
        backbone.network.load_state_dict(mixtures[share], strict=False)
        scores[share] = validate(backbone, task, settings.side_px)["score"]
    figures = run.read().figures
    assert figures["score"] == pytest.approx(max(scores.values()), abs=1e-6)
    kept = load_file(run.best)
    assert kept.keys() == after.keys()
    for name, value in mixtures[figures["trained_share"]].items():
        assert torch.allclose(kept[f"backbone.network.{name}"], value, rtol=1e-5, atol=1e-6)


def test_going_on_after_the_blend_does_not_blend_again(
    task: EncoderTask, settings: EncoderSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from satchel.train import encoder as metric

    # Of an epoch, of the trained weights, of the blend; and should it blend again, of these two.
    scores = iter([0.0, 0.0, 1.0, 0.0, 1.0])
    really = metric.validate
    monkeypatch.setattr(metric, "validate", lambda *given: really(*given) | {"score": next(scores)})
    tried = settings.model_copy(update={"blend_with_start": (0.5,), "epochs": 1})
    run = trained(task, tried, tmp_path)
    kept = run.best.read_bytes()
    assert run.read().figures["trained_share"] == 0.5
    train_encoder(task, tried, run, progress=SILENT, on_epoch=lambda epoch, figures: None)
    assert run.best.read_bytes() == kept


def test_from_scratch_there_is_nothing_to_blend_with(
    task: EncoderTask, settings: EncoderSettings, tmp_path: Path
) -> None:
    scratch = settings.model_copy(update={"weights": "none", "blend_with_start": (0.5,)})
    with pytest.raises(UsageError, match="has none; give --weights"):
        trained(task, scratch, tmp_path)


@pytest.mark.parametrize("loss", ["triplet", "arcface"])
def test_a_frozen_network_without_a_head_is_not_trained(
    settings: EncoderSettings, loss: str
) -> None:
    frozen = settings.model_copy(update={"stage": "head", "loss": loss})
    with pytest.raises(UsageError, match="expected --stage partial or full"):
        untrained_encoder(frozen, len(NAMES))


def test_whitened_training_compares_mahalanobis_distances_of_the_start(
    task: EncoderTask, settings: EncoderSettings, tmp_path: Path
) -> None:
    whitened = settings.model_copy(update={"whiten": True, "loss": "triplet"})
    run = trained(task, whitened, tmp_path)
    matrix = load_file(run.best)["objective.whiten.matrix"].numpy()

    begun = create(settings.backbone, weights=settings.weights)
    seen = network_embeddings(begun, task.train, settings.side_px).plain.astype(np.float64)
    means = np.stack([seen[task.train.labels == k].mean(0) for k in range(len(NAMES))])
    covariance, _ = ledoit_wolf(seen - means[task.train.labels])
    ratios = euclidean(seen @ matrix.T, seen @ matrix.T) / np.maximum(
        mahalanobis(seen, seen, covariance), 1e-9
    )
    apart = ~np.eye(len(seen), dtype=bool)
    assert ratios[apart] == pytest.approx(ratios[0, 1], rel=1e-3)
    spread = (seen - seen.mean(0)) @ matrix.T
    assert (spread**2).sum(1).mean() == pytest.approx(1, rel=1e-3)
    load_encoder(run)


def test_a_whitened_loss_is_the_loss_of_whitened_vectors() -> None:
    torch.manual_seed(1)
    vectors, matrix = torch.randn(6, 4), torch.randn(4, 4)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    loss = make_loss("contrastive", products=3, dimension=4, distance="unnormalised")
    objective = MetricObjective(loss, WhiteningLayer(matrix.numpy()))
    expected = loss(torch.stack([matrix @ v for v in vectors]), labels)
    assert torch.allclose(objective(vectors, labels, labels, 1.0), expected)


def test_whitening_needs_two_photos_of_a_product(
    task: EncoderTask, settings: EncoderSettings, tmp_path: Path
) -> None:
    single = EncoderTask(NAMES, photos(range(1)), task.val, None)
    with pytest.raises(UsageError, match="two photos"):
        trained(single, settings.model_copy(update={"whiten": True}), tmp_path)


def test_the_cascaded_loss_is_not_whitened() -> None:
    with pytest.raises(ValueError, match="of each depth"):
        EncoderSettings(loss="cascaded", whiten=True)
