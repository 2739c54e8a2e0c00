"""One writer for CLIP, SigLIP, PE-Core and DINOv2: against timm's own networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from satchel.adapt.vit_torch import TorchVit
from satchel.convert.checkpoint import Checkpoint, only_checkpoint
from satchel.convert.facts import read_facts
from satchel.convert.layouts.architecture import spec_of
from satchel.convert.layouts.find import find
from satchel.convert.layouts.weights import weights_of
from satchel.convert.quantise import observe, quantisable, smoothed
from satchel.convert.spec import VitSpec, Weights
from satchel.convert.vit.layers import LEVELS, OFF_GRID
from satchel.convert.vit.model import vit_model
from satchel.convert.vit.served import Served
from satchel.encode.crops import CropShape
from satchel.encode.encoder import INPUT
from support import checkpoints as made


def read(folder: Path) -> tuple[VitSpec, Weights]:
    found = find(Checkpoint(only_checkpoint(folder)))
    spec = spec_of(found, read_facts(folder, found.layout.name))
    return spec, weights_of(found, spec)


def outputs(model: onnx.ModelProto, crops: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, {INPUT: crops}), strict=True))


def some_crops(n: int, height: int, width: int) -> np.ndarray:
    """Crops with large shapes, so that they differ by more than noise does."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n, -(-height // 14), -(-width // 14), 3), np.uint8)
    return np.ascontiguousarray(coarse.repeat(14, 1).repeat(14, 2)[:, :height, :width])


def served(spec: VitSpec, side_px: int = made.SIDE_PX) -> Served:
    return Served(side_px, spec.patch_px)


Write = Callable[[Any, Path], Path]

CASES: dict[str, tuple[Callable[[], Any], Write]] = {
    "CLIP, open_clip": (
        made.small_clip,
        lambda network, to: made.write_open_clip(network, to, quick=True),
    ),
    "CLIP, GELU, open_clip": (
        lambda: made.small_clip(quick=False),
        lambda network, to: made.write_open_clip(network, to, quick=False),
    ),
    "CLIP, transformers": (
        made.small_clip,
        lambda network, to: made.write_transformers(network, to, "clip", "quick_gelu"),
    ),
    "CLIP, timm": (
        made.small_clip,
        lambda network, to: made.write_timm(network, to, "vit_base_patch16_clip_quickgelu_224"),
    ),
    "SigLIP, timm": (
        made.small_siglip,
        lambda network, to: made.write_timm(network, to, "vit_base_patch16_siglip_224"),
    ),
    "SigLIP, tanh, transformers": (
        lambda: made.small_siglip(act_layer="gelu_tanh"),
        lambda network, to: made.write_transformers(network, to, "siglip", "gelu_pytorch_tanh"),
    ),
    "SigLIP, mean, timm": (
        made.small_gap,
        lambda network, to: made.write_timm(network, to, "vit_base_patch16_siglip_gap_224"),
    ),
    "PE-Core, timm": (
        made.small_pe,
        lambda network, to: made.write_timm(network, to, "vit_pe_core_tiny_patch16_384"),
    ),
    "DINOv2, timm": (
        made.small_dino,
        lambda network, to: made.write_timm(network, to, "vit_small_patch14_reg4_dinov2"),
    ),
    "DINOv2, transformers": (made.small_dino, made.write_dino),
}


MAKERS: dict[str, Callable[..., Any]] = {
    "CLIP, open_clip": made.small_clip,
    "SigLIP, timm": made.small_siglip,
    "PE-Core, timm": made.small_pe,
}


@pytest.mark.parametrize("case", CASES)
def test_vectors_are_those_of_timm(tmp_path: Path, case: str) -> None:
    make, write = CASES[case]
    network = make()
    spec, weights = read(write(network, tmp_path))
    crops = some_crops(5, made.SIDE_PX, made.SIDE_PX)
    own = made.own_vectors(network, crops)
    assert np.abs(own[0] - own[1]).max() > 1e-2  # photos differ
    assert spec.epsilon == network.blocks[0].norm1.eps
    found = outputs(vit_model(spec, weights, served(spec)), crops)
    assert np.abs(found["vectors"] - own).max() < 2e-4
    assert found["saliency"].shape == (5, *2 * (made.SIDE_PX // spec.patch_px,))
    assert found["saliency"].min() >= 0


@pytest.mark.parametrize("case", CASES)
def test_the_network_that_is_trained_is_the_one_that_is_served(tmp_path: Path, case: str) -> None:
    make, write = CASES[case]
    spec, weights = read(write(make(), tmp_path))
    given = served(spec, 10 * spec.patch_px)
    network = TorchVit(spec, weights, most=given.most).eval()
    again = network.weights()
    assert again.keys() == weights.keys()
    assert all(np.array_equal(again[name], weights[name]) for name in weights)
    model = vit_model(spec, weights, given)
    for rows, columns in ((10, 10), (7, 12)):
        crops = some_crops(3, rows * spec.patch_px, columns * spec.patch_px)
        expected = outputs(model, crops)
        with torch.inference_mode():
            found = network(torch.from_numpy(crops).permute(0, 3, 1, 2).float())
        assert np.abs(found.vectors.numpy() - expected["vectors"]).max() < 2e-4
        assert found.grid == (rows, columns)
        if rows == columns:
            attention = found.attention.unflatten(1, found.grid).numpy()
            assert np.allclose(attention, expected["saliency"], rtol=1e-3, atol=1e-5)


def test_a_class_token_attends_to_patches_that_have_turned(tmp_path: Path) -> None:
    """PE-Core's rotary positions with CLIP's class token; no layout that is read has both."""
    make, write = CASES["CLIP, open_clip"]
    spec, weights = read(write(make(), tmp_path))
    turning = spec.model_copy(update={"rope": True})
    crops = some_crops(3, 112, 144)
    expected = outputs(vit_model(turning, weights, served(spec, 160)), crops)["vectors"]
    pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
    networks = [TorchVit(one, weights, most=12).eval() for one in (turning, spec)]
    with torch.inference_mode():
        found, still = (network(pixels).vectors.numpy() for network in networks)
    assert np.abs(found - expected).max() < 2e-4
    assert np.abs(still - expected).max() > 1e-2


@pytest.mark.parametrize("case", ["CLIP, open_clip", "SigLIP, timm"])
def test_last_blocks_are_trained_alone(tmp_path: Path, case: str) -> None:
    make, write = CASES[case]
    spec, weights = read(write(make(), tmp_path))
    network = TorchVit(spec, weights, most=10)
    named = {id(value): name for name, value in network.parts.items()}

    def trained(blocks: int) -> set[str]:
        return {named[id(one)].split("/")[0] for one in network.last_blocks(blocks)}

    last = str(spec.blocks - 1)
    assert trained(1) - {"post", "fc", "pool", "projection"} == {last}
    assert trained(spec.blocks) == trained(99) == {name.split("/")[0] for name in network.parts}
    assert "patch" not in trained(spec.blocks - 1)


@pytest.mark.parametrize("patches", [(5, 9), (8, 6)])
@pytest.mark.parametrize("case", ["CLIP, open_clip", "SigLIP, timm", "PE-Core, timm"])
def test_other_sides_are_those_of_timm_with_resampled_positions(
    tmp_path: Path, case: str, patches: tuple[int, int]
) -> None:
    """timm's network of that input size; its positions resampled plane by plane by OpenCV."""
    make, write = CASES[case]
    network = make()
    spec, weights = read(write(network, tmp_path))
    rows, columns = patches
    other = MAKERS[case](img_size=(16 * rows, 16 * columns))
    state = network.state_dict()
    before = state["pos_embed"].shape[1] - spec.grid**2
    trained = state["pos_embed"][0, before:].numpy().reshape(spec.grid, spec.grid, spec.width)
    placed = np.stack(
        [
            cv2.resize(
                np.ascontiguousarray(trained[..., channel]),
                (columns, rows),
                interpolation=cv2.INTER_CUBIC,
            )
            for channel in range(spec.width)
        ]
    )
    flat = torch.from_numpy(placed).flatten(1).T[None]
    state["pos_embed"] = torch.cat([state["pos_embed"][:, :before], flat], 1)
    other.load_state_dict(state)
    crops = some_crops(2, 16 * rows, 16 * columns)
    found = outputs(vit_model(spec, weights, served(spec, 128)), crops)
    assert np.abs(found["vectors"] - made.own_vectors(other, crops)).max() < 2e-4
    assert found["saliency"].shape == (2, 8, 8)  # maps of all shapes fit together


def test_half_precision_checkpoints_are_read(tmp_path: Path) -> None:
    network = made.small_clip()
    crops = some_crops(4, made.SIDE_PX, made.SIDE_PX)
    own = made.own_vectors(network, crops)
    for dtype in (torch.float16, torch.bfloat16):
        folder = made.write_open_clip(network, tmp_path / str(dtype), quick=True, dtype=dtype)
        spec, weights = read(folder)
        found = outputs(vit_model(spec, weights, served(spec)), crops)["vectors"]
        assert (found * own).sum(1).min() > 0.995


def test_registers_and_projection_may_be_missing(tmp_path: Path) -> None:
    network = made.small_clip(num_classes=0)
    spec, weights = read(made.write_open_clip(network, tmp_path, quick=True))
    crops = some_crops(2, made.SIDE_PX, made.SIDE_PX)
    found = outputs(vit_model(spec, weights, served(spec)), crops)["vectors"]
    assert found.shape == (2, made.WIDTH)
    assert np.abs(found - made.own_vectors(network, crops)).max() < 2e-4


@pytest.mark.parametrize("case", ["CLIP, open_clip", "SigLIP, timm", "PE-Core, timm"])
def test_smoothing_changes_nothing_and_int8_little(tmp_path: Path, case: str) -> None:
    make, write = CASES[case]
    spec, weights = read(write(make(), tmp_path))
    crops = some_crops(6, made.SIDE_PX, made.SIDE_PX)
    seen = observe(spec, weights, served(spec), crops)
    plain = outputs(vit_model(spec, weights, served(spec)), crops)["vectors"]
    assert np.abs(plain - seen.vectors).max() < 1e-5
    rng = np.random.default_rng(1)
    factors = {
        f"{block}.{layer}": rng.uniform(0.1, 9, spec.width).astype(np.float32)
        for block in range(spec.blocks)
        for layer in ("qkv", "fc1")
    }
    even = smoothed(spec, weights, factors)
    assert np.abs(even["0.qkv.w"] - weights["0.qkv.w"]).max() > 0.01
    again = outputs(vit_model(spec, even, served(spec)), crops)["vectors"]
    assert np.abs(again - plain).max() < 2e-4
    int8, ranges = quantisable(spec, weights, seen.extents)
    model = vit_model(spec, int8, served(spec), ranges=ranges)
    assert {"MatMulIntegerToFloat"} <= {node.op_type for node in model.graph.node}
    assert (outputs(model, crops)["vectors"] * plain).sum(1).min() > 0.98


def test_training_of_less_than_a_step_is_not_rounded_away(tmp_path: Path) -> None:
    """Weights that were int8, each moved by a quarter of a step."""
    make, write = CASES["CLIP, open_clip"]
    spec, weights = read(write(make(), tmp_path))
    seen = observe(spec, weights, served(spec), some_crops(4, made.SIDE_PX, made.SIDE_PX))
    even, ranges = quantisable(spec, weights, seen.extents)
    weight = even["1.fc2.w"]
    steps = np.abs(weight).max(0) / 127
    start = np.round(weight / steps) * steps
    move = 0.25 * steps * np.random.default_rng(0).choice([-1, 1], weight.shape)
    move[np.abs(start).argmax(0), np.arange(len(steps))] = 0  # so that the steps stay the same
    even["1.fc2.w"] = (start + move).astype(np.float32)
    kept = {}
    for levels in (LEVELS, OFF_GRID):
        graph = vit_model(spec, even, served(spec), ranges=ranges, levels=levels).graph
        stored = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        found = stored["1.fc2.q"] * stored["1.fc2.steps"]
        kept[levels] = float(((found - start) * move).sum() / (move**2).sum())
    assert abs(kept[LEVELS]) < 0.01
    assert 0.8 < kept[OFF_GRID] < 1.2


def test_ranges_after_smoothing_are_those_of_what_goes_in(tmp_path: Path) -> None:
    """They are computed from those before; here they are measured."""
    spec, weights = read(made.write_open_clip(made.small_clip(), tmp_path, quick=True))
    crops = some_crops(4, made.SIDE_PX, made.SIDE_PX)
    seen = observe(spec, weights, served(spec), crops)
    even, ranges = quantisable(spec, weights, seen.extents)
    measured = observe(spec, even, served(spec), crops).extents
    for layer, (low, high) in ranges.items():
        if not layer.endswith("fc2"):
            assert np.isclose(low, min(measured[layer].min(), 0), rtol=1e-3, atol=1e-4)
            assert np.isclose(high, measured[layer].max(), rtol=1e-3, atol=1e-4)


def test_local_features_are_the_patches_with_most_attention(tmp_path: Path) -> None:
    network = made.small_clip()
    spec, weights = read(made.write_open_clip(network, tmp_path, quick=True))
    crops = some_crops(3, made.SIDE_PX, made.SIDE_PX)
    crop_shape = served(spec)
    axes = observe(spec, weights, crop_shape, crops).patches
    found = outputs(vit_model(spec, weights, crop_shape, patches=axes), crops)
    kept = crop_shape.kept
    assert found["patches"].shape == (3, kept, min(made.WIDTH, 128))

    config = network.pretrained_cfg
    mean, std = (np.array(config[name], np.float32) for name in ("mean", "std"))
    scaled = torch.from_numpy((crops / np.float32(255) - mean) / std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        hidden = network.norm_pre(network._pos_embed(network.patch_embed(scaled)))
        for block in network.blocks[:-1]:
            hidden = block(hidden)
        last = network.blocks[-1]
        queries, keys, _ = last.attn.qkv(last.norm1(hidden)).chunk(3, -1)
        by_head = [one.unflatten(-1, (4, -1)).transpose(1, 2) for one in (queries[:, :1], keys)]
        scores = by_head[0] @ by_head[1].transpose(-1, -2) / (made.WIDTH // 4) ** 0.5
        most, which = scores.softmax(-1).mean(1)[:, 0, 1:].topk(kept)
        tokens = hidden[:, 1:].numpy()
    flat = tokens.reshape(-1, made.WIDTH)
    centre = flat.mean(0)
    assert np.allclose(axes.centre, centre, atol=1e-4)
    spread = np.cov((flat - centre) @ axes.axes, rowvar=False)
    off = spread - np.diag(np.diag(spread))
    assert np.abs(off).max() < 1e-2 * np.diag(spread).max()  # principal axes
    expected = np.take_along_axis((tokens - centre) @ axes.axes, which.numpy()[..., None], 1)
    expected *= 127 / np.linalg.norm(expected, axis=-1, keepdims=True)
    shares = (most / most.sum(1, keepdim=True)).numpy()
    assert np.allclose(found["attention"], shares, atol=1e-4)
    assert np.abs(found["patches"] - expected).max() < 0.7  # half a step, and rounding


@pytest.mark.parametrize("along", [5, 6, 7, 8, 9, 11, 14, 24])
def test_no_crop_has_fewer_patches_than_local_features(along: int) -> None:
    """By cutting photos of all proportions; where there are enough patches, all 64 are kept."""
    served = Served(16 * along, 16)
    shape = CropShape(served.side_px, served.patch_px if served.any_shape else None)
    sides = (shape.fitting(2.0**power, 1) for power in np.linspace(-4, 4, 801))
    fewest = min(height * width for height, width in sides) // 16**2
    assert served.kept == min(64, fewest)
    assert served.kept == 64 or along < 9
