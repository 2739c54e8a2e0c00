"""What tensors do not show: heads, activation, colours; out of the configs next to a checkpoint.

timm and transformers write a config.json, open_clip an open_clip_config.json, transformers also a
preprocessor_config.json. Where there is none, a person says it in a TOML file.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final, TypeVar

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


CONVOLUTIONAL: Final = (
    "convnext",
    "efficientnet",
    "tf_efficientnet",
    "resnet",
    "mobilenet",
    "regnet",
)
"""How timm's names of networks of convolutions begin."""


class TimmConfig(StrictModel):
    """What timm's config.json says of a network.

    Attributes:
        architecture: timm's name of it.
        options: how it differs from its name's.
        input_size: colours, height and width that it was trained with.
    """

    architecture: str
    options: dict[str, Any]
    mean: Colours | None = None
    std: Colours | None = None
    input_size: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None

    @property
    def convolutional(self) -> bool:
        """Whether it is a network of convolutions, which timm's own code converts."""
        return self.architecture.startswith(CONVOLUTIONAL)


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

    def completed(self, layout: str, width: int, *, epsilon: float) -> Facts:
        """With what the layout's library takes where nothing is said.

        Args:
            epsilon: of normalisations.

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
        return self.model_copy(update={"heads": heads, "epsilon": self.epsilon or epsilon})


def read_timm(folder: Path) -> TimmConfig | None:
    """Read timm's config in a folder; None where there is none, or another library's.

    Raises:
        EncoderError: it is not readable.
    """
    config = _json(folder / CONFIG)
    if "architecture" not in config:
        return None
    trained = _part(config, "pretrained_cfg")
    said = {name: trained.get(name) for name in ("mean", "std", "input_size")}
    return _checked(
        TimmConfig,
        CONFIG,
        architecture=config["architecture"],
        options=_part(config, "model_args"),
        **said,
    )


def read_facts(folder: Path, layout: str, about: Path | None = None) -> Facts:
    """Read what the configs in a folder say, for a checkpoint of this layout.

    Args:
        about: a TOML file whose keys are those of `Facts`; it is preferred.

    Raises:
        UsageError, EncoderError: a file is not readable.
    """
    found = Facts()
    timm = read_timm(folder)
    if layout == "timm" and timm is not None:
        found = _of_timm(timm)
    if layout.startswith("transformers") and timm is None:
        found = _of_transformers(_json(folder / CONFIG), _json(folder / PREPROCESSOR))
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


Said = TypeVar("Said", bound=StrictModel)


def _checked(kind: type[Said], path: str, **given: Any) -> Said:
    """What a config says, but for what it leaves open."""
    try:
        return kind.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        raise EncoderError(f"{path} says what cannot be: {reason(error)}; fetch it again") from None


def _part(config: dict[str, Any], name: str) -> dict[str, Any]:
    part = config.get(name)
    if part is not None and not isinstance(part, dict):
        raise EncoderError(
            f"expected a JSON object as {name} of a config, got {str(part)[:80]!r}; fetch the "
            "config again"
        )
    return part or {}


def _named_activation(name: Any) -> Activation | None:
    if name is None:
        return None
    if name not in tuple(ACTIVATIONS):
        raise EncoderError(
            f"the activation {str(name)[:80]!r} of the config is not supported: expected "
            f"{', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]


def _of_timm(config: TimmConfig) -> Facts:
    return _checked(
        Facts,
        CONFIG,
        mean=config.mean,
        std=config.std,
        heads=config.options.get("num_heads"),
        pool_heads=config.options.get("attn_pool_num_heads"),
        activation=_named_activation(config.options.get("act_layer")),
    ).over(_of_timm_name(config.architecture))


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
    return _checked(
        Facts,
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
        return _named_activation(vision["hidden_act"])
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
        return _checked(Facts, OPEN_CLIP_CONFIG, **colours).over(_of_timm_name(str(name)))
    width, head = vision.get("width"), vision.get("head_width", 64)
    if width is not None and not (_is_count(width) and _is_count(head) and width % head == 0):
        raise EncoderError(
            f"{OPEN_CLIP_CONFIG} says what cannot be: a width of {width!r} in heads of {head!r}; "
            "fetch it again"
        )
    return _checked(
        Facts,
        OPEN_CLIP_CONFIG,
        heads=width and width // head,
        activation="quick_gelu" if model.get("quick_gelu") else "gelu",
        **colours,
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _of_person(path: Path) -> Facts:
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
        return Facts.model_validate(given)
    except (OSError, ValueError) as error:
        message = reason(error, Facts)
        raise UsageError(f"{path} does not say what an encoder is: {message}") from None
