"""Tuning CLIP's image encoder: losses against loops, crops, synthetic photos, a short run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from satchel.adapt import clip_file
from satchel.errors import UsageError
from satchel.images import encode_jpeg
from satchel.progress import SILENT

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from recipes.clip_b16 import image_encoder as clip
from recipes.clip_b16 import pool as clip_pool
from recipes.clip_b16 import recipe as clip_recipe
from recipes.clip_b16 import tune as clip_tune
from recipes.free_pictures import FreePicture
from satchel.adapt.compose.backgrounds import Backgrounds
from satchel.adapt.compose.foreground import extract_foregrounds
from satchel.adapt.vit_torch import ImageFeatures, clip_vit
from satchel.records import WHOLE_PHOTO
from shipped import shipped_weights

SMALL = clip_tune.TuneSettings(
    steps=8, batch=3, rounds=2, rate=4e-6, warmup=1, side_px=96, teacher_px=112
)


@pytest.fixture(scope="module")
def start() -> clip_file.Weights:
    """An image encoder of random weights, which are large enough to distinguish images."""
    rng = np.random.default_rng(0)
    width = clip_file.WIDTH
    shapes: dict[str, tuple[int, ...]] = {
        "patch": (width, 3, clip_file.PATCH, clip_file.PATCH),
        "class": (width,),
        "position": (1 + clip_file.TRAINED_GRID**2, width),
    }
    sizes = {"qkv": (width, 3 * width), "out": (width, width)}
    sizes |= {"fc1": (width, 4 * width), "fc2": (4 * width, width)}
    norms = ["pre", "post"]
    for block in range(clip_file.BLOCKS):
        norms += [f"{block}.ln1", f"{block}.ln2"]
        for layer, size in sizes.items():
            shapes |= {f"{block}.{layer}.w": size, f"{block}.{layer}.b": size[1:]}
    found = {name: 0.03 * rng.standard_normal(size) for name, size in shapes.items()}
    for norm in norms:
        found |= {f"{norm}.g": np.ones(width), f"{norm}.b": np.zeros(width)}
    return {name: value.astype(np.float32) for name, value in found.items()}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[FreePicture]:
    """Six discs of different colours on white."""
    folder = tmp_path_factory.mktemp("pictures")
    y, x = np.mgrid[:200, :160]
    disc = (y - 100) ** 2 + (x - 80) ** 2 < 50**2
    for number in range(6):
        pixels = np.full((200, 160, 3), 255, np.uint8)
        pixels[disc] = np.random.default_rng(number).integers(0, 200, 3)
        (folder / f"{number}.jpg").write_bytes(encode_jpeg(pixels, 95))
    return [FreePicture(path) for path in sorted(folder.iterdir())]


@pytest.fixture
def backgrounds() -> Backgrounds:
    return Backgrounds(np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), np.uint8))


@pytest.fixture
def synthetic(
    pictures: list[FreePicture], backgrounds: Backgrounds, tmp_path: Path
) -> clip_pool.SyntheticPhotos:
    names = [str(at) for at in range(len(pictures))]
    extract_foregrounds(
        tmp_path / "foregrounds.npy",
        names,
        [WHOLE_PHOTO] * len(pictures),
        lambda name: pictures[int(name)].read(),
        side_px=64,
    )
    np.save(tmp_path / "backgrounds.npy", backgrounds.photos)
    files = tmp_path / "foregrounds.npy", tmp_path / "backgrounds.npy"
    return clip_pool.SyntheticPhotos(*files, rounds=2, seed=5)


@pytest.mark.parametrize("size_px", [(176, 176), (96, 144)])
def test_torch_sees_what_the_graph_sees(start: clip_file.Weights, size_px: tuple[int, int]) -> None:
    import onnxruntime as ort

    crops = np.random.default_rng(2).integers(0, 256, (3, *size_px, 3), np.uint8)
    session = ort.InferenceSession(clip.image_encoder_model(start).SerializeToString())
    expected = session.run(["vectors"], {"crops": crops})[0]
    with torch.inference_mode():
        seen = clip_vit(start)(torch.from_numpy(crops).permute(0, 3, 1, 2).float())
    assert np.abs(seen.vectors.numpy() - expected).max() < 1e-5
    assert seen.grid == (size_px[0] // 16, size_px[1] // 16)
    assert seen.tokens.shape == (3, seen.grid[0] * seen.grid[1], clip_file.WIDTH)
    assert ((seen.attention.sum(1) > 0.5) & (seen.attention.sum(1) < 1)).all()


def test_weights_come_out_of_the_tower_as_they_went_in(start: clip_file.Weights) -> None:
    found = clip_file.as_clip(clip_vit(start).weights())
    first = start["position"][:1]  # a part of the class token from now on
    start = start | {"class": start["class"] + first[0], "position": start["position"].copy()}
    start["position"][0] = 0
    assert found.keys() == start.keys()
    assert all(np.array_equal(found[name], start[name]) for name in start)
    half = clip_recipe.between(start, {name: value + 2 for name, value in start.items()}, 0.5)
    assert np.allclose(half["3.fc1.b"], start["3.fc1.b"] + 1, atol=1e-6)


def test_patch_similarity_agrees_with_plain_loops() -> None:
    torch.manual_seed(0)
    queries, pictures = (
        torch.nn.functional.normalize(torch.randn(*size, 16), dim=2) for size in ((40, 5), (3, 7))
    )
    attention = torch.rand(40, 5)
    found = clip_tune.local_likeness((queries, pictures), attention)
    for at, query in enumerate(queries):
        for place, picture in enumerate(pictures):
            best = torch.stack([(picture @ patch).max() for patch in query])
            expected = (best * attention[at]).sum() / attention[at].sum()
            assert abs(float(found[at, place] - expected)) < 5e-3  # bfloat16


def seen(count: int, grid: tuple[int, int], seed: int) -> ImageFeatures:
    torch.manual_seed(seed)
    patches = grid[0] * grid[1]
    vectors = torch.nn.functional.normalize(torch.randn(count, 8), dim=1)
    return ImageFeatures(vectors, torch.randn(count, patches, 8), torch.rand(count, patches), grid)


def test_who_sees_what_the_teacher_sees_has_nothing_to_learn_from_it() -> None:
    objective = clip_tune.Objective(SMALL, torch.zeros(8), torch.zeros(8))
    one, other = seen(6, (4, 3), 0), seen(6, (4, 3), 1)
    same, different = objective.losses(one, one), objective.losses(one, other)
    for name in ("vectors", "patches", "attended"):
        assert float(same[name]) == pytest.approx(0, abs=1e-6)
        assert float(different[name]) > 0.1
    assert float(same["contrast"]) == float(different["contrast"])  # which no teacher tells


def test_contrast_asks_for_the_composition_s_own_picture() -> None:
    objective = clip_tune.Objective(SMALL, torch.zeros(8), torch.zeros(8))
    half = seen(3, (2, 2), 0)
    vectors, tokens, attention = (
        torch.cat([v, v]) for v in (half.vectors, half.tokens, half.attention)
    )
    twice = ImageFeatures(vectors, tokens, attention, (2, 2))
    turned = ImageFeatures(
        torch.cat([half.vectors, half.vectors.roll(1, 0)]), twice.tokens, twice.attention, (2, 2)
    )
    found, wrong = (objective.losses(one, one) for one in (twice, turned))
    assert float(found["contrast"]) < float(wrong["contrast"])
    assert float(found["local"]) < float(wrong["local"])


def test_total_weighs_each_loss_by_its_setting() -> None:
    objective = clip_tune.Objective(SMALL, torch.zeros(8), torch.zeros(8))
    names = ("vectors", "patches", "attended", "contrast", "local")
    losses = {name: torch.tensor(10.0**at) for at, name in enumerate(names)}
    expected = 1 + 0.5 * 10 + 0.1 * 100 + 0.3 * 1000 + 0.3 * 10000
    assert float(objective.total(losses)) == pytest.approx(expected)


def test_crops_keep_their_position() -> None:
    side = 64
    rows, columns = np.mgrid[:side, :side].astype(np.uint8)
    pictures = np.stack([np.dstack([rows, columns, np.full_like(rows, n)]) for n in range(5)])
    parts = clip_tune.cut_alike(torch.from_numpy(pictures), (4, 3), np.random.default_rng(0))
    assert parts.shape[2] / parts.shape[3] == pytest.approx(4 / 3, rel=0.05)
    assert int(0.7 * side) <= parts.shape[2] <= side
    for number, part in enumerate(parts):
        assert (part[2] == number).all()
        assert (part[0].diff(dim=0) == 1).all()
        assert (part[0].diff(dim=1) == 0).all()
        assert (part[1].diff(dim=1) == 1).all()
        assert (part[1].diff(dim=0) == 0).all()
    assert len({float(part[0, 0, 0]) for part in parts}) > 1  # each somewhere else


def test_a_picture_becomes_a_square_by_its_own_edges() -> None:
    picture = np.zeros((10, 20, 3), np.uint8)
    picture[0], picture[-1] = 50, 200
    found = clip_pool.squared(picture, 20)
    assert found.shape == (20, 20, 3)
    assert (found[:6] == 50).all()
    assert (found[-6:] == 200).all()
    assert np.array_equal(found[5:15], picture)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_pool_holds_the_compositions_round_by_round(
    synthetic: clip_pool.SyntheticPhotos, workers: int
) -> None:
    with clip_pool.Pool(synthetic, torch.device("cpu"), workers) as pool:
        pool._thread.join()
        assert pool.each == 2
    for at in (0, 5, 6, 11):
        assert torch.equal(pool.composed[at], synthetic[at])
    assert not torch.equal(pool.composed[0], pool.composed[6])


def test_errors_while_composing_are_raised(synthetic: clip_pool.SyntheticPhotos) -> None:
    synthetic._files = Path("missing.npy"), Path("missing.npy")
    with (
        pytest.raises(FileNotFoundError, match=r"missing\.npy"),
        clip_pool.Pool(synthetic, torch.device("cpu"), 0),
    ):
        pass


def test_later_errors_are_raised_at_the_end(
    synthetic: clip_pool.SyntheticPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_pool, "LOADED", 6)  # a round of pictures at once
    compose = clip_pool.SyntheticPhotos.__getitem__

    def failing(self: clip_pool.SyntheticPhotos, at: int) -> Any:
        if at >= 6:
            raise OSError("no more")
        return compose(self, at)

    monkeypatch.setattr(clip_pool.SyntheticPhotos, "__getitem__", failing)
    with (
        pytest.raises(OSError, match="no more"),
        clip_pool.Pool(synthetic, torch.device("cpu"), 0) as pool,
    ):
        assert pool.each == 1


def test_a_short_run_comes_nearer_to_the_teacher(synthetic: clip_pool.SyntheticPhotos) -> None:
    start, rng = shipped_weights(), np.random.default_rng(3)
    settings = clip_tune.TuneSettings(
        **{name: getattr(SMALL, name) for name in SMALL.__slots__} | {"contrast": 0.0, "local": 0.0}
    )
    told: list[int] = []
    with clip_pool.Pool(synthetic, torch.device("cpu"), 0) as pool:
        pool._thread.join()
        clean = pool.composed[: synthetic.pictures]
        end = clip_tune.tune(start, pool, clean, settings, lambda step, losses: told.append(step))
    assert told == [0, 7]
    parts = clip_tune.cut_alike(torch.cat([clean, clean]), (1, 1), rng)

    def gap(weights: clip_file.Weights) -> float:
        with torch.inference_mode():
            taught = clip_tune.seen_by(clip_vit(start), parts, settings.teacher_px)
            own = clip_tune.seen_by(clip_vit(weights), parts, settings.side_px)
            centres = taught.vectors.mean(0), taught.tokens.mean((0, 1))
            objective = clip_tune.Objective(settings, *centres)
            return float(objective.total(objective.losses(own, taught)))

    assert gap(end) < 0.95 * gap(start)


def test_the_run_s_file_is_what_the_recipe_reads(
    start: clip_file.Weights, pictures: list[FreePicture], backgrounds: Backgrounds, tmp_path: Path
) -> None:
    settings = clip_tune.TuneSettings(
        **{name: getattr(SMALL, name) for name in SMALL.__slots__} | {"steps": 1, "rounds": 1}
    )
    losses: list[dict[str, Any]] = []
    written = clip_tune.tune_to_free_pictures(
        start,
        pictures,
        backgrounds,
        tmp_path / "run",
        settings,
        progress=SILENT,
        on_step=lambda step, found: losses.append(found),
    )
    found = clip_recipe.read_tuned(written, start)
    assert set(losses[0]) == {"vectors", "patches", "attended", "contrast", "local"}
    assert not np.array_equal(found["5.qkv.w"], start["5.qkv.w"])
    other = load_file(written) | {"class": np.zeros(3, np.float32)}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match=r"clip_b16\.tune"):
        clip_recipe.read_tuned(tmp_path / "other.safetensors", start)
