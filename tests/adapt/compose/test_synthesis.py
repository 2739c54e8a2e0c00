"""Compositions: what is drawn where, and that a seed says it all."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from satchel.adapt.compose import camera, synthesis
from satchel.adapt.compose.backgrounds import DRAWN, Backgrounds
from satchel.adapt.compose.drawing import draw, with_shadow
from satchel.adapt.compose.foreground import Foregrounds, multiplied, row_type
from satchel.adapt.compose.synthesis import VIEWS, Composer, View
from satchel.adapt.settings import SynthSettings

SIDE = 64
KEPT = 83
OFF = SynthSettings(real_backgrounds=0, clutter=0, geometry=0, light=0, degradation=0)


def sprite(colour: tuple[int, int, int], size_hw: tuple[int, int]) -> np.ndarray:
    pixels = np.full((*size_hw, 3), colour, np.uint8)
    return multiplied(pixels, np.full(size_hw, 255, np.uint8))


@pytest.fixture(scope="module")
def foregrounds() -> Foregrounds:
    """A red upright, a green flat and a blue square thing."""
    rows = np.zeros(3, row_type(KEPT))
    sizes = ((80, 40), (30, 80), (60, 60))
    for row, (colour, size) in enumerate(zip(np.eye(3, dtype=int) * 220, sizes, strict=True)):
        rows[row]["size_hw"], rows[row]["photo_hw"] = size, KEPT
        rows[row]["foreground"][: size[0], : size[1]] = sprite(tuple(colour), size)
        rows[row]["photo"] = 255
        rows[row]["photo"][20:60, 20:60] = colour
    return Foregrounds(rows)


@pytest.mark.parametrize("view", VIEWS)
def test_a_synthetic_photo_is_a_function_of_photo_and_seed(
    foregrounds: Foregrounds, view: View
) -> None:
    photos = np.random.default_rng(0).integers(0, 255, (3, 96, 96, 3), dtype=np.uint8)
    composers = [
        Composer(foregrounds, SynthSettings(), side_px=SIDE, backgrounds=Backgrounds(photos))
        for _ in range(2)
    ]
    seen = set()
    for seed in range(12):
        first, second = (c.compose(0, np.random.default_rng(seed), view=view) for c in composers)
        assert (first == second).all()
        assert first.shape == (SIDE, SIDE, 3)
        assert first.dtype == np.uint8
        seen.add(first.tobytes())
    assert len(seen) == 12


def test_a_thing_that_is_not_warped_keeps_its_pixels() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    mask = np.zeros((20, 30), np.uint8)
    mask[4:16, 5:25] = 255
    ground = rng.integers(0, 256, (50, 60, 3), dtype=np.uint8)
    out = ground.copy()
    draw(out, multiplied(pixels, mask), np.array([[1, 0, 12.0], [0, 1, 9.0], [0, 0, 1.0]]))
    assert (out[13:25, 17:37] == pixels[4:16, 5:25]).all()
    outside = np.ones((50, 60), bool)
    outside[13:25, 17:37] = False
    assert (out[outside] == ground[outside]).all()


def test_a_half_transparent_mask_mixes() -> None:
    mask = np.full((8, 8), 102, np.uint8)  # 0.4
    out = np.full((8, 8, 3), 100, np.uint8)
    draw(out, multiplied(np.full((8, 8, 3), 200, np.uint8), mask), np.eye(3))
    assert np.abs(out.astype(int) - 140).max() <= 1  # 0.4 × 200 + 0.6 × 100


@pytest.mark.parametrize("scale", [0.2, 1.7])
def test_a_thing_lands_where_its_matrix_says_at_any_scale(scale: float) -> None:
    out = np.zeros((120, 120, 3), np.uint8)
    thing = sprite((255, 255, 255), (60, 40))
    draw(out, thing, np.array([[scale, 0, 10.0], [0, scale, 5.0], [0, 0, 1.0]]))
    y, x = np.nonzero(out[..., 0] > 127)
    found = x.min(), y.min(), x.max() + 1, y.max() + 1
    assert np.abs(np.array(found) - (10, 5, 10 + 40 * scale, 5 + 60 * scale)).max() <= 1


def test_beyond_the_frame_nothing_is_drawn() -> None:
    out = np.full((20, 20, 3), 7, np.uint8)
    draw(out, sprite((200, 0, 0), (10, 10)), np.array([[1, 0, 50.0], [0, 1, 0], [0, 0, 1.0]]))
    assert (out == 7).all()


def test_a_shadow_darkens_the_ground_and_leaves_the_product() -> None:
    thing = sprite((200, 40, 30), (40, 40))
    wide = with_shadow(thing, np.random.default_rng(3))
    reach = (wide.shape[0] - 40) // 2
    assert (wide[reach : reach + 40, reach : reach + 40] == thing).all()
    out = np.full((*wide.shape[:2], 3), 200, np.uint8)
    draw(out, wide, np.eye(3))
    rim = np.ones(out.shape[:2], bool)
    rim[reach : reach + 40, reach : reach + 40] = False
    assert out[rim].max() <= 200
    assert out[rim].mean() < 195


def test_with_everything_off_the_product_keeps_colour_and_size(
    foregrounds: Foregrounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthesis, "SIZE", (0.5, 0.5))
    composer = Composer(foregrounds, OFF, side_px=SIDE)
    for seed in range(5):
        out = composer.compose(0, np.random.default_rng(seed), view="whole").astype(int)
        red = np.all(np.abs(out - (220, 0, 0)) <= 2, axis=2)
        rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
        # 80 × 40 pixels: half of the frame's side, and half of that.
        assert abs(len(rows) - 32) <= 2
        assert abs(len(columns) - 16) <= 2


def test_the_look_at_the_object_shows_its_box(foregrounds: Foregrounds) -> None:
    composer = Composer(foregrounds, OFF, side_px=SIDE)
    shares = {
        view: np.mean(
            [
                (
                    np.abs(
                        composer.compose(2, np.random.default_rng(s), view=view)
                        - np.array((0, 0, 220))
                    )
                    <= 4
                )
                .all(2)
                .mean()
                for s in range(40)
            ]
        )
        for view in VIEWS
    }
    assert shares["whole"] < shares["object"] < shares["part"]
    assert shares["part"] > 0.95
    # The box, grown by −6 to 30 % on each side, holds 1 ÷ 1.24² of it on average.
    assert shares["object"] == pytest.approx(0.66, abs=0.08)


SOURCES = {
    "clutter": (synthesis, ("P_SEVERAL", "P_NEIGHBOURS", "P_HELD", "P_OCCLUDED")),
    "geometry": (synthesis, ("ROTATION_DEG", "P_ANY_ROTATION", "PERSPECTIVE", "ASPECT")),
    "light": (camera, ("UNEVEN_LIGHT", "EXPOSURE", "WHITE_BALANCE", "CONTRAST", "SATURATION")),
    "degradation": (camera, ("P_BLUR", "P_NOISE", "P_JPEG")),
}


def differs(foregrounds: Foregrounds, settings: SynthSettings) -> bool:
    """Whether any of some photos is another than with everything off."""
    off, on = (Composer(foregrounds, one, side_px=SIDE) for one in (OFF, settings))
    return any(
        (
            off.compose(0, np.random.default_rng(seed), view="whole")
            != on.compose(0, np.random.default_rng(seed), view="whole")
        ).any()
        for seed in range(6)
    )


@pytest.mark.parametrize(
    ("knob", "source"), [(knob, name) for knob, (_, names) in SOURCES.items() for name in names]
)
def test_each_source_can_be_switched_on_alone(
    foregrounds: Foregrounds, monkeypatch: pytest.MonkeyPatch, knob: str, source: str
) -> None:
    monkeypatch.setattr(synthesis, "P_SHADOW", 0.0)
    module, names = SOURCES[knob]
    for name in names:
        if name != source:
            monkeypatch.setattr(module, name, 1.0 if name == "ASPECT" else 0.0)
    if source.startswith("P_"):
        monkeypatch.setattr(module, source, 1.0)
    settings = OFF.model_copy(update={knob: 1.0})
    if source == "P_ANY_ROTATION":
        monkeypatch.setattr(module, "ROTATION_DEG", 0.0)
    assert differs(foregrounds, settings)


def test_shadows_and_clean_photos_differ(foregrounds: Foregrounds) -> None:
    composers = [Composer(foregrounds, OFF, side_px=SIDE, p_clean=p) for p in (0.0, 1.0)]
    first, second = (c.compose(0, np.random.default_rng(0), view="whole") for c in composers)
    assert (first != second).any()


def test_default_strengths_give_the_photos_that_were_measured(foregrounds: Foregrounds) -> None:
    """Sums of pixels, recorded when each source had a setting of its own."""
    composer = Composer(foregrounds, SynthSettings(), side_px=SIDE, p_clean=0.15)
    sums = [
        int(composer.compose(row, np.random.default_rng(7 + row)).astype(np.int64).sum())
        for row in range(3)
    ]
    assert sums == pytest.approx([632078, 1047137, 1206103], rel=1e-3)


def test_real_backgrounds_are_used_as_often_as_asked(
    foregrounds: Foregrounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthesis, "SIZE", (0.2, 0.2))
    photos = np.full((2, 80, 80, 3), (12, 210, 200), np.uint8)
    settings = OFF.model_copy(update={"real_backgrounds": 0.5})
    composer = Composer(foregrounds, settings, side_px=SIDE, backgrounds=Backgrounds(photos))
    outs = [composer.compose(0, np.random.default_rng(s), view="whole") for s in range(60)]
    real = [bool((np.abs(o.astype(int) - (12, 210, 200)) <= 1).all(2).mean() > 0.8) for o in outs]
    assert 0.3 < np.mean(real) < 0.7


def test_photos_for_checking_are_not_those_for_training() -> None:
    photos = np.arange(10, dtype=np.uint8).repeat(12).reshape(10, 2, 2, 3)
    seen, unseen = Backgrounds(photos).split(0.2)
    assert (len(seen), len(unseen)) == (8, 2)
    assert not {p.tobytes() for p in seen.photos} & {p.tobytes() for p in unseen.photos}


@pytest.mark.parametrize("kind", DRAWN)
def test_drawn_backgrounds_fill_the_frame_and_differ(kind: object) -> None:
    outs = [kind(48, np.random.default_rng(seed)) for seed in range(4)]  # type: ignore[operator]
    assert all(out.shape == (48, 48, 3) and out.dtype == np.uint8 for out in outs)
    assert len({out.tobytes() for out in outs}) == 4


def test_composing_is_fast_enough_to_keep_up(foregrounds: Foregrounds) -> None:
    """Not a benchmark: a bound so wide that only a mistake breaks it."""
    composer = Composer(foregrounds, SynthSettings(), side_px=160)
    clock = cv2.TickMeter()
    clock.start()
    for seed in range(20):
        composer.compose(0, np.random.default_rng(seed))
    clock.stop()
    assert clock.getTimeSec() / 20 < 0.5
