"""What tensors do not show: heads, activation, colours; out of the configs next to a checkpoint.

timm and transformers write a config.json, open_clip an open_clip_config.json, transformers also a
preprocessor_config.json. Where there is none, a person says it in a TOML file.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import PositiveFloat, PositiveInt, ValidationError

from satchel.convert.spec import CLIP_MEAN, CLIP_STD, Activation
from satchel.errors import EncoderError, UsageError
from satchel.validation import StrictModel, reason

CONFIG: Final = "config.json"
OPEN_CLIP_CONFIG: Final = "open_clip_config.json"
PREPROCESSOR: Final = "preprocessor_config.json"
CONFIGS: Final = (CONFIG, OPEN_CLIP_CONFIG, PREPROCESSOR)
MAX_CONFIG_BYTES: Final = 1 << 20

Colours = tuple[float, float, float]

ACTIVATIONS: Final[dict[str, Activation]] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_tanh": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
}
"""Name in a config → activation."""

TIMM_TANH: Final = re.compile(
    r"patch32_siglip|large_patch16_siglip_512|so400m_patch16_siglip|giantopt"
)
"""Architectures of timm with GELU's approximation by tanh."""

UNUSUAL_HEADS: Final = {1_152: 16, 1_280: 16, 1_408: 16, 1_536: 16}
"""Width → heads, where they are not width / 64."""

UNSUPPORTED: Final = re.compile(
    r"eva|beit|dinov3|pe_spatial|pe_lang|naflex|aimv2|_rope_|hiera|swin"
)
"""Architectures whose tensors are named like a ViT's, and that compute something else."""


class Facts(StrictModel):
    """What is known of an image encoder besides its tensors; None where it is not."""

    architecture: str | None = None
    heads: PositiveInt | None = None
    pool_heads: PositiveInt | None = None
    activation: Activation | None = None
    epsilon: PositiveFloat | None = None
    mean: Colours | None = None
    std: Colours | None = None

    def over(self, other: Facts) -> Facts:
        """These facts, and the other's where these say nothing."""
        return other.model_copy(update=self.model_dump(exclude_none=True))

    def completed(self, layout: str, width: int) -> Facts:
        """With what the layout's library takes where nothing is said.

        Raises:
            EncoderError: the architecture is not supported.
            UsageError: activation or colours are not known.
        """
        if self.architecture and UNSUPPORTED.search(self.architecture.lower()):
            raise EncoderError(
                f"{self.architecture} is not supported: expected CLIP, SigLIP, SigLIP 2, PE-Core, "
                "DINOv2, TinyCLIP, or another plain ViT"
            )
        missing = [name for name in ("activation", "mean", "std") if getattr(self, name) is None]
        heads = self.heads or UNUSUAL_HEADS.get(width) or (0 if width % 64 else width // 64)
        missing += ["heads"] * (not heads)
        if missing:
            raise UsageError(
                f"a checkpoint of {layout} does not show {', '.join(missing)}: put its config "
                f"({', '.join(CONFIGS)}) next to it, or say it in a TOML file for --about, such as "
                'activation = "quick_gelu" (of OpenAI\'s CLIP; of others mostly "gelu"), '
                f"mean = {list(CLIP_MEAN)}, std = {list(CLIP_STD)}, heads = {heads or 12}"
            )
        epsilon = self.epsilon or (1e-5 if layout == "open_clip" else 1e-6)
        return self.model_copy(update={"heads": heads, "epsilon": epsilon})


def read_facts(folder: Path, layout: str, about: Path | None = None) -> Facts:
    """Read what the configs in a folder say, for a checkpoint of this layout.

    Args:
        about: a TOML file whose keys are those of `Facts`; it is preferred.

    Raises:
        UsageError, EncoderError: a file is not readable.
    """
    found = Facts()
    config = _json(folder / CONFIG)
    if layout == "timm" and "architecture" in config:
        found = found.over(_of_timm(config))
    if layout.startswith("transformers") and "architecture" not in config:
        found = found.over(_of_transformers(config, _json(folder / PREPROCESSOR)))
    if layout in ("timm", "open_clip"):
        found = _of_open_clip(_json(folder / OPEN_CLIP_CONFIG)).over(found)
    return _of_person(about).over(found) if about else found


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise EncoderError(f"{path} has more than {MAX_CONFIG_BYTES:,} bytes: it is no config")
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderError(f"{path} is no JSON file: {reason(error)}; fetch it again") from None
    if not isinstance(found, dict):
        raise EncoderError(f"expected a JSON object in {path}; fetch it again")
    return found


def _facts(path: str, **given: Any) -> Facts:
    try:
        return Facts.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        raise EncoderError(f"{path} says what cannot be: {reason(error)}") from None


def _part(config: dict[str, Any], name: str) -> dict[str, Any]:
    part = config.get(name)
    return part if isinstance(part, dict) else {}


def _of_timm(config: dict[str, Any]) -> Facts:
    name = str(config["architecture"])
    options, trained = _part(config, "model_args"), _part(config, "pretrained_cfg")
    return _facts(
        CONFIG,
        mean=trained.get("mean"),
        std=trained.get("std"),
        heads=options.get("num_heads"),
        pool_heads=options.get("attn_pool_num_heads"),
        activation=ACTIVATIONS.get(str(options.get("act_layer"))),
    ).over(_of_timm_name(name))


def _of_timm_name(name: str) -> Facts:
    """What timm's name of an architecture says."""
    activation: Activation = "gelu"
    if "quickgelu" in name:
        activation = "quick_gelu"
    elif TIMM_TANH.search(name):
        activation = "gelu_tanh"
    like_clip = "clip" in name.replace("siglip", "") or "pe_core" in name
    return Facts(
        architecture=name,
        activation=activation,
        epsilon=1e-5 if like_clip else 1e-6,
        pool_heads=8 if "pe_core" in name else None,
    )


def _of_transformers(config: dict[str, Any], preprocessor: dict[str, Any]) -> Facts:
    vision = _part(config, "vision_config") or config
    return _facts(
        CONFIG,
        architecture=config.get("model_type"),
        heads=vision.get("num_attention_heads"),
        activation=_activation(vision, config),
        epsilon=vision.get("layer_norm_eps"),
        mean=preprocessor.get("image_mean"),
        std=preprocessor.get("image_std"),
    )


def _activation(vision: dict[str, Any], config: dict[str, Any]) -> Activation | None:
    """Transformers writes only what differs from its defaults, which depend on the model."""
    if "hidden_act" in vision:
        return ACTIVATIONS.get(str(vision["hidden_act"]))
    kind = str(config.get("model_type"))
    if "siglip" in kind:
        return "gelu_tanh"
    return "quick_gelu" if "clip" in kind else "gelu" if "dino" in kind else None


def _of_open_clip(config: dict[str, Any]) -> Facts:
    model, pictures = _part(config, "model_cfg"), _part(config, "preprocess_cfg")
    if not model:
        return Facts()
    vision = _part(model, "vision_cfg")
    colours = {
        "mean": pictures.get("mean", CLIP_MEAN),
        "std": pictures.get("std", CLIP_STD),
    }
    if name := vision.get("timm_model_name"):
        return _facts(OPEN_CLIP_CONFIG, **colours).over(_of_timm_name(str(name)))
    width, head = vision.get("width"), vision.get("head_width", 64)
    whole = isinstance(width, int) and isinstance(head, int) and head > 0 and width % head == 0
    return _facts(
        OPEN_CLIP_CONFIG,
        heads=width // head if whole else None,
        activation="quick_gelu" if model.get("quick_gelu") else "gelu",
        **colours,
    )


def _of_person(path: Path) -> Facts:
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
        return Facts.model_validate(given)
    except (OSError, ValueError) as error:
        message = reason(error, Facts)
        raise UsageError(f"{path} does not say what an encoder is: {message}") from None
