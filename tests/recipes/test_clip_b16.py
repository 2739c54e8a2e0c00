"""CLIP's tower as a graph: against timm's, and the shipped int8 file against its own weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from conftest import SHARED
from satchel.adapt import clip_file
from satchel.encode.card import read_card
from satchel.encode.encoder import INPUT, Encoder
from satchel.errors import UsageError
from satchel.images import crop, decode
from satchel.records import WHOLE_PHOTO

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from recipes.clip_b16 import image_encoder as clip
from recipes.clip_b16 import patches as clip_patches
from recipes.clip_b16 import recipe as clip_recipe
from shipped import shipped_weights


def vectors(model: onnx.ModelProto, crops: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(["vectors"], {INPUT: crops})[0]
    return found


@pytest.fixture(scope="module")
def network() -> Any:
    from satchel.train.torchvision_ops import declare_missing_ops

    declare_missing_ops()
    import timm

    torch.manual_seed(0)
    made = timm.create_model("vit_base_patch16_clip_quickgelu_224", num_classes=0).eval()
    for name, value in made.named_parameters():  # as made, many are zero and hide mistakes
        if value.ndim == 1 or "pos" in name or "cls" in name:
            value.data += 0.1 * torch.randn_like(value)
    return made


def weights_of(network: Any) -> clip_file.Weights:
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    found = {
        "patch": state["patch_embed.proj.weight"],
        "class": state["cls_token"][0, 0],
        "position": state["pos_embed"][0],
        "pre.g": state["norm_pre.weight"],
        "pre.b": state["norm_pre.bias"],
        "post.g": state["norm.weight"],
        "post.b": state["norm.bias"],
    }
    theirs = {"qkv": "attn.qkv", "out": "attn.proj", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}
    for block in range(clip_file.BLOCKS):
        for ours, name in theirs.items():
            found[f"{block}.{ours}.w"] = state[f"blocks.{block}.{name}.weight"].T
            found[f"{block}.{ours}.b"] = state[f"blocks.{block}.{name}.bias"]
        for number in (1, 2):
            found[f"{block}.ln{number}.g"] = state[f"blocks.{block}.norm{number}.weight"]
            found[f"{block}.ln{number}.b"] = state[f"blocks.{block}.norm{number}.bias"]
    return {name: np.ascontiguousarray(value, np.float32) for name, value in found.items()}


def test_the_graph_computes_what_timm_computes_smoothed_or_not(network: Any) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    scaled = (crops / np.float32(255) - clip_file.MEAN) / clip_file.STD
    with torch.inference_mode():
        tokens = network.forward_features(torch.from_numpy(scaled).permute(0, 3, 1, 2))
    expected = torch.nn.functional.normalize(tokens[:, 0], dim=1).numpy()
    weights = weights_of(network)
    assert np.abs(vectors(clip.image_encoder_model(weights)[0], crops) - expected).max() < 1e-4
    rng = np.random.default_rng(1)
    peaks = {
        f"{block}.{layer}": rng.uniform(0.1, 20, clip_file.WIDTH).astype(np.float32)
        for block in range(clip_file.BLOCKS)
        for layer in ("qkv", "fc1")
    }
    even = clip.smoothed(weights, peaks)
    assert np.abs(even["0.qkv.w"] - weights["0.qkv.w"]).max() > 0.01
    assert np.abs(vectors(clip.image_encoder_model(even)[0], crops) - expected).max() < 1e-4


def test_patches_are_what_the_class_token_attends_to_most(network: Any) -> None:
    """The part behind the model's bytes, against timm's, for a tower in float32."""
    weights, side_px = weights_of(network), 224
    crops = np.random.default_rng(2).integers(0, 256, (3, side_px, side_px, 3), np.uint8)
    model, _ = clip.image_encoder_model(weights)
    tokens = clip_patches.tokens_of(model, crops)
    assert tokens.shape == (3, 196, clip_file.WIDTH)
    centre, axes = clip_patches.principal_axes(tokens)
    whole = model.SerializeToString() + clip_patches.patches_part(model, centre, axes)
    session = ort.InferenceSession(whole, providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_outputs()] == ["vectors", "patches", "attention"]
    alone, values, attention = session.run(None, {INPUT: crops})
    assert np.allclose(alone, vectors(model, crops), atol=1e-6)

    scaled = (crops / np.float32(255) - clip_file.MEAN) / clip_file.STD
    with torch.inference_mode():
        seen = network.patch_embed(torch.from_numpy(scaled).float().permute(0, 3, 1, 2))
        hidden = network.norm_pre(network._pos_embed(seen))
        for block in network.blocks[:-1]:
            hidden = block(hidden)
        last = network.blocks[-1]
        queries, keys, _ = last.attn.qkv(last.norm1(hidden)).chunk(3, -1)
        by_head = [one.unflatten(-1, (12, 64)).transpose(1, 2) for one in (queries[:, :1], keys)]
        shares = (by_head[0] @ by_head[1].transpose(-1, -2) / 8).softmax(-1).mean(1)[:, 0, 1:]
        most, which = shares.topk(clip_patches.KEPT)
        mapped = (hidden[:, 1:].numpy() - centre) @ axes
    expected = np.take_along_axis(mapped, which.numpy()[..., None], 1)
    expected *= 127 / np.linalg.norm(expected, axis=-1, keepdims=True)
    assert np.allclose(attention, (most / most.sum(1, keepdim=True)).numpy(), atol=1e-5)
    assert np.abs(values - expected).max() < 0.6  # half a step


@pytest.mark.parametrize("patches", [(14, 14), (9, 12), (18, 6)])
def test_crops_of_any_proportions_pass(network: Any, patches: tuple[int, int]) -> None:
    """Against timm's blocks, with positions resampled plane by plane."""
    rows, columns = patches
    crops = np.random.default_rng(3).integers(0, 256, (2, 16 * rows, 16 * columns, 3), np.uint8)
    scaled = (crops / np.float32(255) - clip_file.MEAN) / clip_file.STD
    trained = network.pos_embed[0].detach().numpy()
    planes = trained[1:].reshape(14, 14, clip_file.WIDTH).transpose(2, 0, 1)
    placed = [
        cv2.resize(np.ascontiguousarray(p), (columns, rows), interpolation=cv2.INTER_CUBIC)
        for p in planes
    ]
    with torch.inference_mode():
        seen = network.patch_embed.proj(torch.from_numpy(scaled).permute(0, 3, 1, 2))
        tokens = (seen + torch.from_numpy(np.stack(placed))).flatten(2).transpose(1, 2)
        first = (network.cls_token + network.pos_embed[:, :1]).expand(2, -1, -1)
        hidden = network.norm_pre(torch.cat([first, tokens], 1))
        for block in network.blocks:
            hidden = block(hidden)
        expected = torch.nn.functional.normalize(network.norm(hidden)[:, 0], dim=1).numpy()
    assert (
        np.abs(vectors(clip.image_encoder_model(weights_of(network))[0], crops) - expected).max()
        < 1e-4
    )


def test_places_are_resampled_around_the_same_middle() -> None:
    tables = clip_file.resampling()
    assert np.allclose(tables[14, :14], np.eye(14), atol=1e-6)
    assert np.allclose(tables.sum(2)[12], [1] * 12 + [0] * 20, atol=1e-6)
    found = tables[12, :12] @ np.linspace(0, 1, 14, dtype=np.float32)
    # Its cells' middles lie at (i + ½) 14/12 − ½ of the 14's.
    inner = ((np.arange(1, 11) + 0.5) * 14 / 12 - 0.5) / 13
    assert np.allclose(found[1:11], inner, atol=5e-3)


@pytest.mark.shared
@pytest.mark.parametrize("size_px", [(176, 176), (192, 144), (112, 240)])
def test_int8_activations_cost_next_to_nothing_on_real_photos(
    shipped_encoder: Encoder, size_px: tuple[int, int]
) -> None:
    plain = clip.image_encoder_model(shipped_weights())[0]
    folder = SHARED / "data" / "dreambooth"
    paths = sorted(folder.rglob("*.jpg"))[::4]
    crops = np.stack([crop(decode(p.read_bytes()), WHOLE_PHOTO, size_px) for p in paths])
    cosines = (vectors(plain, crops) * shipped_encoder.encode(crops).vectors).sum(1)
    assert len(crops) > 20
    assert cosines.min() > 0.97


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wheel.whl").write_bytes(b"another file")
    with pytest.raises(UsageError, match="expected SHA-256 3d9f80"):
        clip_recipe.read_wheel(tmp_path / "wheel.whl")


def test_the_card_says_what_the_recipe_says() -> None:
    assert read_card().confidence == clip_recipe.CONFIDENCE
