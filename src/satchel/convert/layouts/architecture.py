"""What an image encoder is, by the shapes of its tensors."""

from __future__ import annotations

from math import isqrt

from pydantic import ValidationError

from satchel.convert.facts import Facts
from satchel.convert.layouts.find import Found
from satchel.convert.layouts.open_clip import OPEN_CLIP
from satchel.convert.spec import Pool, VitSpec, check_size
from satchel.errors import EncoderError, UsageError
from satchel.validation import reason


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
