"""Layouts of checkpoints: names of timm, open_clip and transformers → our names of weights.

A layout is recognised by its names. Every name has to be accounted for: what is missing, and what
nobody expects, means another architecture, and is refused by name instead of giving vectors that
are a little wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt, prod
from typing import Final

import numpy as np
from pydantic import ValidationError

from satchel.arrays import Floats
from satchel.convert.checkpoint import Checkpoint
from satchel.convert.facts import Facts
from satchel.convert.spec import Pool, VitSpec, Weights, check_size
from satchel.errors import EncoderError, UsageError
from satchel.validation import reason

Keys = Mapping[str, str | tuple[str, ...]]
"""Our name → theirs; several are joined along their first axis. A leading / is of the whole file;
other names follow the layout's prefix."""


def _layer(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.w": f"{theirs}.weight", f"{ours}.b": f"{theirs}.bias"}


def _norm(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.g": f"{theirs}.weight", f"{ours}.b": f"{theirs}.bias"}


@dataclass(frozen=True)
class Layout:
    """How a library names the tensors of an image encoder.

    Attributes:
        mark: a name that no other layout has.
        prefixes: before every name, the first that fits; all names behind it count.
        always: tensors of every model.
        groups: of some models: all of a group, or none.
        block: what precedes the names of block i; `{i}` is its number.
        in_block, block_groups: as `always` and `groups`, of every block.
        ignored: a pattern of names that no image encoder needs.
    """

    name: str
    mark: str
    prefixes: tuple[str, ...]
    always: Keys
    groups: tuple[Keys, ...]
    block: str
    in_block: Keys
    block_groups: tuple[Keys, ...] = ()
    ignored: str = "(?!)"


TIMM: Final = Layout(
    name="timm",
    mark="patch_embed.proj.weight",
    prefixes=("visual.trunk.", "module.visual.trunk.", "trunk.", ""),
    always={"patch": "patch_embed.proj.weight", "position": "pos_embed"},
    groups=(
        {"patch.b": "patch_embed.proj.bias"},
        {"class": "cls_token"},
        {"registers": "reg_token"},
        _norm("pre", "norm_pre"),
        _norm("post", "norm"),
        _norm("fc", "fc_norm"),
        {
            "pool.probe": "attn_pool.latent",
            **_layer("pool.q", "attn_pool.q"),
            **_layer("pool.kv", "attn_pool.kv"),
            **_layer("pool.out", "attn_pool.proj"),
            **_norm("pool.ln", "attn_pool.norm"),
            **_layer("pool.fc1", "attn_pool.mlp.fc1"),
            **_layer("pool.fc2", "attn_pool.mlp.fc2"),
        },
        {"head.w": "head.weight", "head.b": "head.bias"},
        {"projection.w": "/visual.head.proj.weight"},
    ),
    block="blocks.{i}.",
    in_block={
        **_norm("ln1", "norm1"),
        **_layer("qkv", "attn.qkv"),
        **_layer("out", "attn.proj"),
        **_norm("ln2", "norm2"),
        **_layer("fc1", "mlp.fc1"),
        **_layer("fc2", "mlp.fc2"),
    },
    block_groups=({"scale1": "ls1.gamma", "scale2": "ls2.gamma"},),
    ignored=r"mask_token$|rope\.",
)

OPEN_CLIP: Final = Layout(
    name="open_clip",
    mark="conv1.weight",
    prefixes=("visual.", "module.visual.", ""),
    always={
        "patch": "conv1.weight",
        "position": "positional_embedding",
        **_norm("post", "ln_post"),
    },
    groups=(
        {"patch.b": "conv1.bias"},
        {"class": "class_embedding"},
        _norm("pre", "ln_pre"),
        {"projection": "proj"},
        {
            "pool.probe": "attn_pool.probe",
            "pool.qkv.w": "attn_pool.attn.in_proj_weight",
            "pool.qkv.b": "attn_pool.attn.in_proj_bias",
            **_layer("pool.out", "attn_pool.attn.out_proj"),
            **_norm("pool.ln", "attn_pool.layernorm"),
            **_layer("pool.fc1", "attn_pool.mlp.c_fc"),
            **_layer("pool.fc2", "attn_pool.mlp.c_proj"),
        },
    ),
    block="transformer.resblocks.{i}.",
    in_block={
        **_norm("ln1", "ln_1"),
        "qkv.w": "attn.in_proj_weight",
        "qkv.b": "attn.in_proj_bias",
        **_layer("out", "attn.out_proj"),
        **_norm("ln2", "ln_2"),
        **_layer("fc1", "mlp.c_fc"),
        **_layer("fc2", "mlp.c_proj"),
    },
    block_groups=({"scale1": "ls_1.gamma", "scale2": "ls_2.gamma"},),
    # Of a file without a prefix, the names of the text encoder are in between.
    ignored=r"token_embedding\.|ln_final\.|text|logit_|input_resolution|context_length|vocab_size",
)


def _attention(*names: str) -> dict[str, tuple[str, ...]]:
    return {
        f"qkv.{part}": tuple(f"{name}.{end}" for name in names)
        for part, end in (("w", "weight"), ("b", "bias"))
    }


_TRANSFORMERS_BLOCK: Final[Keys] = {
    **_norm("ln1", "layer_norm1"),
    **_attention("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    **_layer("out", "self_attn.out_proj"),
    **_norm("ln2", "layer_norm2"),
    **_layer("fc1", "mlp.fc1"),
    **_layer("fc2", "mlp.fc2"),
}

TRANSFORMERS: Final = Layout(
    name="transformers",
    mark="embeddings.patch_embedding.weight",
    prefixes=("vision_model.", ""),
    always={
        "patch": "embeddings.patch_embedding.weight",
        "position": "embeddings.position_embedding.weight",
        **_norm("post", "post_layernorm"),
    },
    groups=(
        {"patch.b": "embeddings.patch_embedding.bias"},
        {"class": "embeddings.class_embedding"},
        _norm("pre", "pre_layrnorm"),  # so it is spelt there
        {"projection.w": "/visual_projection.weight"},
        {
            "pool.probe": "head.probe",
            "pool.qkv.w": "head.attention.in_proj_weight",
            "pool.qkv.b": "head.attention.in_proj_bias",
            **_layer("pool.out", "head.attention.out_proj"),
            **_norm("pool.ln", "head.layernorm"),
            **_layer("pool.fc1", "head.mlp.fc1"),
            **_layer("pool.fc2", "head.mlp.fc2"),
        },
    ),
    block="encoder.layers.{i}.",
    in_block=_TRANSFORMERS_BLOCK,
    ignored=r"embeddings\.position_ids$|text_model\.|text_projection|logit_",
)

DINO: Final = Layout(
    name="transformers DINOv2",
    mark="embeddings.patch_embeddings.projection.weight",
    prefixes=("dinov2.", "dinov2_with_registers.", ""),
    always={
        "patch": "embeddings.patch_embeddings.projection.weight",
        "patch.b": "embeddings.patch_embeddings.projection.bias",
        "class": "embeddings.cls_token",
        "position": "embeddings.position_embeddings",
        **_norm("post", "layernorm"),
    },
    groups=({"registers": "embeddings.register_tokens"},),
    block="encoder.layer.{i}.",
    in_block={
        **_norm("ln1", "norm1"),
        **_attention(*(f"attention.attention.{one}" for one in ("query", "key", "value"))),
        **_layer("out", "attention.output.dense"),
        "scale1": "layer_scale1.lambda1",
        **_norm("ln2", "norm2"),
        **_layer("fc1", "mlp.fc1"),
        **_layer("fc2", "mlp.fc2"),
        "scale2": "layer_scale2.lambda1",
    },
    ignored=r"embeddings\.mask_token$",
)

LAYOUTS: Final = (TIMM, OPEN_CLIP, TRANSFORMERS, DINO)

MAX_BLOCKS: Final = 100
CLASSIFIERS: Final = (1_000, 11_821, 21_841, 21_843)
"""Outputs of classifiers of ImageNet, whose inputs are what is wanted."""

SHOWN: Final = 5
"""Names that a message shows, at most."""


@dataclass
class Found:
    """The tensors of an image encoder in a checkpoint: our name → theirs.

    Attributes:
        blocks: how many there are.
    """

    checkpoint: Checkpoint
    layout: Layout
    prefix: str
    blocks: int = 0
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, as the file has it; of joined ones, of the first."""
        return self.checkpoint.shapes[self.names[name][0]]

    @property
    def numbers(self) -> int:
        """How many numbers all tensors hold."""
        shapes = self.checkpoint.shapes
        return sum(prod(shapes[one]) for each in self.names.values() for one in each)

    def read(self, name: str) -> Floats:
        """Read a tensor as float32, as the file has it."""
        parts = [self.checkpoint.read(one) for one in self.names[name]]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def find(checkpoint: Checkpoint) -> Found:
    """Find the image encoder in a checkpoint.

    Raises:
        EncoderError: it has none of a known layout, tensors are missing, or there are others.
    """
    for layout in LAYOUTS:
        for prefix in layout.prefixes:
            if f"{prefix}{layout.mark}" in checkpoint:
                found = Found(checkpoint, layout, prefix)
                _take(found)
                return found
    first = ", ".join(sorted(checkpoint)[:SHOWN])
    raise EncoderError(
        f"{checkpoint.path.name} has no image encoder that is known: expected a ViT as timm, "
        f"open_clip or transformers name its tensors, got {first}, …. ConvNeXt and EfficientNet "
        "need timm's config.json next to the file"
    )


def _take(found: Found) -> None:
    """Account for every name of the image encoder."""
    layout, checkpoint = found.layout, found.checkpoint
    start = found.prefix + layout.block.partition("{i}")[0]
    numbers = {
        int(rest)
        for name in checkpoint
        if name.startswith(start) and (rest := name[len(start) :].partition(".")[0]).isdecimal()
    }
    found.blocks = max(numbers, default=-1) + 1
    if not 0 < found.blocks <= MAX_BLOCKS:
        raise EncoderError(
            f"{checkpoint.path.name}: expected 1 to {MAX_BLOCKS} blocks, got {found.blocks}"
        )
    missing: list[str] = []

    def theirs(keys: str | tuple[str, ...], block: str) -> tuple[str, ...]:
        each = (keys,) if isinstance(keys, str) else keys
        return tuple(
            key[1:] if key.startswith("/") else f"{found.prefix}{block}{key}" for key in each
        )

    def take(group: Keys, ours: str = "", block: str = "", *, optional: bool = False) -> None:
        names = {ours + name: theirs(keys, block) for name, keys in group.items()}
        flat = [one for each in names.values() for one in each]
        if optional and not any(one in checkpoint for one in flat):
            return
        missing.extend(one for one in flat if one not in checkpoint)
        found.names.update(names)

    take(layout.always)
    for group in layout.groups:
        take(group, optional=True)
    for number in range(found.blocks):
        block = layout.block.format(i=number)
        take(layout.in_block, f"{number}.", block)
        for group in layout.block_groups:
            take(group, f"{number}.", block, optional=True)
    used = {one for each in found.names.values() for one in each}
    ignored = re.compile(layout.ignored)
    unexpected = [
        name
        for name in checkpoint
        if name.startswith(found.prefix)
        and name not in used
        and not ignored.match(name[len(found.prefix) :])
    ]
    if missing or unexpected:
        raise EncoderError(
            f"{checkpoint.path.name} is no image encoder that can be converted ({layout.name}): "
            f"{_counted(missing, 'missing')}; {_counted(unexpected, 'unexpected')}. It is another "
            "architecture, or not the whole file"
        )


def _counted(names: list[str], what: str) -> str:
    if not names:
        return f"none {what}"
    more = ", …" if len(names) > SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:SHOWN])}{more})"


# -- what it is, and its weights -------------------------------------------------------------------


def spec_of(found: Found, facts: Facts) -> VitSpec:
    """What the image encoder is, by its shapes and what is known of it besides.

    Raises:
        EncoderError: shapes contradict each other.
        UsageError: what shapes do not show is not known.
    """
    patch = found.shape("patch")
    if len(patch) != 4 or patch[1] != 3 or patch[2] != patch[3]:
        raise EncoderError(
            f"expected weights of square patches of three colours, (width, 3, p, p), got {patch}"
        )
    width = patch[0]
    pool: Pool = "token" if "class" in found and "fc.g" not in found else "mean"
    if "pool.probe" in found:
        pool = "attention"
    # CLIP and PE normalise before the first block, and do it with PyTorch's own epsilon.
    like_clip = found.layout is OPEN_CLIP or "pre.g" in found
    facts = facts.completed(found.layout.name, width, epsilon=1e-5 if like_clip else 1e-6)
    try:
        spec = VitSpec(
            layout=found.layout.name,
            width=width,
            blocks=found.blocks,
            heads=facts.heads or 0,
            hidden=found.shape("0.fc1.w")[0],
            patch_px=patch[2],
            grid=_trained_grid(found),
            activation=facts.activation or "gelu",
            epsilon=facts.epsilon or 0,
            pool=pool,
            pool_heads=(facts.pool_heads or facts.heads or 1) if pool == "attention" else 1,
            rope=pool == "attention" and "pre.g" in found,  # Perception Encoder alone has both
            mean=facts.mean or (0, 0, 0),
            std=facts.std or (1, 1, 1),
        )
    except ValidationError as error:
        raise UsageError(
            f"{found.checkpoint.path.name}: what is known of it does not fit: {reason(error)}; say "
            "it in a file for --about"
        ) from None
    _check_shapes(found, spec)
    check_size(found.checkpoint.path.name, found.numbers)
    return spec


def _trained_grid(found: Found) -> int:
    count = found.shape("position")[-2]
    grid = isqrt(count)
    if grid * grid != count and isqrt(count - 1) ** 2 == count - 1:
        grid = isqrt(count - 1)
    elif grid * grid != count:
        raise EncoderError(
            f"expected positions of a square of patches, and one of a class token at most, got "
            f"{count}"
        )
    return grid


def _check_shapes(found: Found, spec: VitSpec) -> None:
    width, hidden = spec.width, spec.hidden
    expected: dict[str, tuple[int, ...]] = {}
    for number in range(spec.blocks):
        layers: tuple[tuple[str, tuple[int, ...]], ...] = (
            ("qkv", (3 * width, width)),
            ("out", (width, width)),
            ("fc1", (hidden, width)),
            ("fc2", (width, hidden)),
        )
        for layer, shape in layers:
            expected[f"{number}.{layer}.w"] = shape
            expected[f"{number}.{layer}.b"] = shape[:1]
        for one in ("ln1.g", "ln1.b", "ln2.g", "ln2.b"):
            expected[f"{number}.{one}"] = (width,)
    for name, shape in expected.items():
        parts = found.names[name]
        got = found.shape(name)
        whole = (got[0] * len(parts), *got[1:]) if got else got
        if whole != shape:
            raise EncoderError(
                f"{found.checkpoint.path.name}: expected the shape {shape} of {parts[0]}, got "
                f"{whole}"
            )


def weights_of(found: Found, spec: VitSpec, *, projected: bool = True) -> Weights:
    """Read the weights, by our names.

    Args:
        projected: with the projection to the space that images share with texts, if there is one.
    """
    read = found.read
    weights: Weights = {"patch": read("patch")}
    for name in ("patch.b", "pre.g", "pre.b", "post.g", "post.b", "fc.g", "fc.b"):
        if name in found:
            weights[name] = read(name)
    weights |= _tokens(found, spec)
    for number in range(spec.blocks):
        weights |= _block(found, number)
    if "pool.probe" in found:
        weights |= _pool(found, spec)
    if projected:
        weights |= _projection(found)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}


def _tokens(found: Found, spec: VitSpec) -> Weights:
    """Positions of patches; and tokens before them with their own positions."""
    positions = found.read("position").reshape(-1, spec.width)
    places = spec.grid**2
    weights = {"position": positions[len(positions) - places :]}
    before = []
    if "class" in found:
        token = found.read("class").reshape(1, spec.width)
        before.append(token + positions[:1] if len(positions) > places else token)
    if "registers" in found:
        before.append(found.read("registers").reshape(-1, spec.width))
    if before:
        weights["prefix"] = np.concatenate(before)
    return weights


def _block(found: Found, number: int) -> Weights:
    read = found.read
    names = [f"{number}.{one}" for one in ("ln1.g", "ln1.b", "ln2.g", "ln2.b")]
    weights = {name: read(name) for name in names}
    for layer, scale in (("qkv", ""), ("out", "scale1"), ("fc1", ""), ("fc2", "scale2")):
        name = f"{number}.{layer}"
        by = read(f"{number}.{scale}") if f"{number}.{scale}" in found else np.float32(1)
        weights[f"{name}.w"] = read(f"{name}.w").T * by
        weights[f"{name}.b"] = read(f"{name}.b") * by
    return weights


def _pool(found: Found, spec: VitSpec) -> Weights:
    read, width = found.read, spec.width
    if "pool.qkv.w" in found:
        layers, biases = read("pool.qkv.w"), read("pool.qkv.b")
    else:
        layers, biases = (
            np.concatenate([read(f"pool.q.{part}"), read(f"pool.kv.{part}")]) for part in "wb"
        )
    query, key, value = np.split(layers, 3)
    weights = {
        "pool.query": query @ read("pool.probe").reshape(width) + biases[:width],
        "pool.key.w": key.T,  # its bias adds the same to every token's score
        "pool.value.w": value.T,
        "pool.value.b": biases[2 * width :],
    }
    for layer in ("out", "fc1", "fc2"):
        weights[f"pool.{layer}.w"] = read(f"pool.{layer}.w").T
        weights[f"pool.{layer}.b"] = read(f"pool.{layer}.b")
    return weights | {name: read(name) for name in ("pool.ln.g", "pool.ln.b")}


def _projection(found: Found) -> Weights:
    read = found.read
    if "projection" in found:  # (width, outputs)
        return {"projection": read("projection")}
    if "projection.w" in found:  # (outputs, width)
        return {"projection": read("projection.w").T}
    if "head.w" in found and _head_projects(found):
        return {"projection": read("head.w").T, "projection.b": read("head.b")}
    return {}


def _head_projects(found: Found) -> bool:
    """Whether timm's head is a projection of CLIP or PE, and no classifier."""
    with_texts = bool(found.prefix) or "pre.g" in found
    return with_texts and found.shape("head.w")[0] not in CLASSIFIERS
