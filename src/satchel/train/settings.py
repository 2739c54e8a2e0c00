"""Everything that a training run is made of, as its file, its command line and its record say it.

Light on purpose: the command line reads this without torch.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from satchel.errors import UsageError

Stage = Literal["head", "partial", "full"]
STAGES: Final[tuple[Stage, ...]] = ("head", "partial", "full")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=BaseModel)


class FitSettings(_Settings):
    """How a network is fitted, whatever it is trained for."""

    backbone: str = Field("efficientnet_lite0", description="timm's name, or small_cnn")
    weights: str = Field(
        "auto", description="auto (those that pip brings), none, hub, or a safetensors file"
    )
    stage: Stage = Field(
        "full",
        description="head: on frozen features, in seconds; partial: the last blocks too; full",
    )
    epochs: int = Field(20, ge=1)
    minutes: float | None = Field(
        None, gt=0, description="a budget: as many epochs as fit into it, measured as it begins"
    )
    batch: int = Field(32, ge=2, description="photos a step")
    side_px: int = Field(224, ge=32, le=1024, description="input side of the last epochs")
    first_side_px: int | None = Field(
        None,
        ge=32,
        le=1024,
        description="input side of the first epochs, growing to side_px by three quarters of them",
    )
    recipe: Literal["none", "seed", "strong"] = Field("strong", description="augmentation")
    mix: float = Field(
        0.0, ge=0, le=1, description="share of the batches whose photos are blended in pairs"
    )
    learning_rate: float = Field(1e-3, gt=0, description="of the backbone's last layers")
    head_rate: float = Field(3e-3, gt=0, description="of what is new: head, proxies, centres")
    layer_decay: float = Field(
        0.8, gt=0, le=1, description="learning rate of a block, as a share of the next one's"
    )
    weight_decay: float = Field(0.02, ge=0)
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps")
    average: float = Field(
        0.998, ge=0, lt=1, description="decay of the moving average of the weights; 0: none"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="of multiplications; weights and sums stay in fp32; auto: whichever is faster "
        "here, measured as training begins",
    )
    freeze_statistics: bool = Field(
        False, description="keep batch norms' running statistics as they came"
    )
    threads: int = Field(0, ge=0, description="of the processor; 0: all there are")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _sides_grow(self) -> Self:
        if self.first_side_px is not None and self.first_side_px > self.side_px:
            raise ValueError(
                f"expected first_side_px up to side_px, got {self.first_side_px} and {self.side_px}"
            )
        return self


class ClassifierSettings(FitSettings):
    """`satchel train classifier`: which of the split's products a photo shows."""

    head: Literal["cosine", "linear"] = "cosine"
    scale: float = Field(16.0, gt=0, description="of a cosine head: cosines → logits")
    label_smoothing: float = Field(0.1, ge=0, lt=1)


class EncoderSettings(FitSettings):
    """`satchel train encoder`: vectors, near for photos of one product."""

    loss: str = Field("multi_similarity", description="see satchel.train.losses")
    options: dict[str, float | int | str | bool] = Field(
        default_factory=dict, description="of the loss"
    )
    photos_each: int = Field(4, ge=2, description="photos of each product in a batch")
    whiten: bool = Field(
        False,
        description="whiten vectors before the loss by how photos of one product differed before "
        "training: it compares their cosines, or, with its distance unnormalised, Mahalanobis",
    )
    blend_with_start: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(
        (),
        description="at the end, average the trained with the starting weights: shares of the "
        "trained ones to try on the validation part; none: do not",
    )

    @model_validator(mode="after")
    def _one_depth_is_whitened(self) -> Self:
        if self.whiten and self.loss == "cascaded":
            raise ValueError("expected whiten = false: the cascaded loss has vectors of each depth")
        return self


class SynthSettings(_Settings):
    """How strongly a composed photo differs from the picture it is made of; 0 switches off.

    Shares are of the compositions.
    """

    looks: tuple[float, float, float] = Field(
        (1.0, 1.0, 0.5), description="weights of whole photos, of products' boxes, of parts of them"
    )
    clean: float = Field(0.15, ge=0, le=1, description="share that is the gallery's own picture")
    smallest: float = Field(0.25, gt=0, description="product's longer side ÷ frame's, at least")
    largest: float = Field(1.1, gt=0, description="the same, at most")
    aspect: float = Field(4 / 3, ge=1, description="width ÷ height of frames, or its inverse")
    turn_deg: float = Field(25.0, ge=0, le=180, description="degrees a product is turned, at most")
    upside: float = Field(0.15, ge=0, le=1, description="share that is turned any way around")
    perspective: float = Field(
        0.35, ge=0, lt=1, description="change of scale from one end of a product to the other"
    )
    mirrored: float = Field(0.0, ge=0, le=1, description="share that is mirrored; letters too")
    many: float = Field(0.3, ge=0, le=1, description="share with many of the product, on a shelf")
    neighbours: float = Field(0.4, ge=0, le=1, description="share with other products behind")
    held: float = Field(0.3, ge=0, le=1, description="share of single ones that a hand holds")
    hidden: float = Field(0.25, ge=0, le=1, description="share that something hides in part")
    real: float = Field(0.6, ge=0, le=1, description="share on real backgrounds, if there are any")
    shadow: float = Field(0.7, ge=0, le=1, description="share that throws a shadow")
    light: float = Field(0.5, ge=0, le=1, description="change of brightness across the photo")
    brightness: float = Field(0.35, ge=0, description="change of exposure, as a share")
    white_balance: float = Field(0.1, ge=0, lt=1, description="change of red against blue")
    contrast: float = Field(0.2, ge=0, lt=1, description="change of contrast, as a share")
    saturation: float = Field(0.25, ge=0, lt=1, description="change of saturation, as a share")
    blurred: float = Field(0.35, ge=0, le=1, description="share that is blurred")
    blur_px: float = Field(2.0, gt=0, description="of 160: standard deviation of a blur, at most")
    noisy: float = Field(0.5, ge=0, le=1, description="share with a sensor's noise")
    noise_levels: float = Field(8.0, ge=0, description="standard deviation, of 255, at most")
    jpeg: float = Field(0.5, ge=0, le=1, description="share that was a JPEG of low quality")
    jpeg_quality: int = Field(35, ge=1, le=92, description="of such a JPEG, at least")


class _CatalogueSettings(_Settings):
    """What both ways of adapting have in common, see `satchel.adapt.run`."""

    held_out: float = Field(
        0.05, ge=0, le=0.5, description="share of the products that is kept for choosing"
    )
    checks: int = Field(400, ge=2, description="compositions to choose by")
    margin: float = Field(0.1, ge=0, lt=1, description="by which the right cosine must lead")
    alike: float = Field(
        0.97, ge=-1, le=1, description="cosine from which products are not pushed apart"
    )
    backgrounds: str | None = Field(None, description="folder of photos to compose on")
    synth: SynthSettings = SynthSettings()


class HeadSettings(_CatalogueSettings):
    """`satchel adapt` where the built-in encoder answers, or one adapted from it: its last layers.

    The compositions pass through the rest of it once, which takes nearly all of the time.
    """

    base: str = Field(
        "", description="set as the run begins: SHA-256 of the built-in encoder's model file"
    )
    minutes: float | None = Field(
        30.0,
        gt=0,
        description="a budget for all of it: as many compositions of each picture as fit, measured "
        "as it begins; one at the least",
    )
    each: int = Field(
        40, ge=1, description="compositions of each picture, at most, even if more would fit"
    )
    epochs: int = Field(10, ge=1, description="how often each composition is trained on")
    batch: int = Field(128, ge=2, description="compositions a step")
    learning_rate: float = Field(1e-4, gt=0, description="of the last layers")
    head_rate: float = Field(1e-3, gt=0, description="of the products' own vectors")
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps")
    scale: float = Field(30.0, gt=0, description="of cosines to logits")
    centred: float = Field(
        0.5, ge=0, le=1, description="share of the mean vector taken off products' first vectors"
    )
    beside: float = Field(
        0.3, gt=0, lt=1, description="share of its vector in the answer, beside the built-in one's"
    )
    threads: int = Field(0, ge=0, description="of the processor; 0: all there are")
    seed: int = Field(0, ge=0)
    synth: SynthSettings = SynthSettings(clean=0.0)


class AdaptSettings(_CatalogueSettings, FitSettings):
    """`satchel adapt` where the light encoder answers, or a trained one: all of its network."""

    weights: Literal["auto", "none"] = Field(
        "auto", description="set as the run begins: what the network it starts from was made with"
    )
    recipe: Literal["composed"] = Field(  # type: ignore[assignment] # frozen: never written to
        "composed", description="compositions are the augmentation"
    )
    mix: float = Field(0.0, ge=0, le=0, description="compositions are not blended")
    minutes: float | None = Field(30.0, gt=0, description="a budget for training")
    side_px: int = Field(128, ge=64, le=1024, description="input side that is trained at")
    serve_side_px: int = Field(
        224, ge=32, le=1024, description="set as the run begins: input side of the encoder served"
    )
    learning_rate: float = Field(3e-4, gt=0, description="of the backbone's last layers")
    head_rate: float = Field(1e-3, gt=0, description="of the products' own vectors")
    average: float = Field(0.995, ge=0, lt=1, description="decay of the moving average")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of multiplications")
    freeze_statistics: bool = Field(True, description="leave batch norms' statistics as they came")
    compositions: int = Field(2048, ge=1, description="of an epoch, at least")
    each: int = Field(
        170,
        ge=1,
        description="compositions of each picture, at most, even if there is time for more: from "
        "then on what is learned is how compositions look",
    )
    scale: float = Field(24.0, gt=0, description="of cosines to logits")
    centred: float = Field(
        0.8, ge=0, le=1, description="share of the mean vector taken off products' first vectors"
    )
    share: float = Field(
        0.5, gt=0, le=1, description="of the trained weights in what is served, beside the start's"
    )
    beside: float = Field(
        0.5, ge=0, le=1, description="share of its vector in the answer, beside the start's own"
    )
    distil: float = Field(0.0, ge=0, description="weight of staying near the first vectors")


def read_settings_file(kind: type[S], path: Path | None, **given: Any) -> S:
    """Read settings: what is given wins over the file, key by key, the file over the defaults.

    Raises:
        UsageError: the file does not parse, or holds a key or value that does not exist.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
        for key, value in given.items():
            table = isinstance(value, dict) and isinstance(found.get(key), dict)
            if value is not None:
                found[key] = {**found[key], **value} if table else value
        return kind.model_validate(found)
    except OSError as error:
        raise UsageError(f"expected a settings file at {path}: {error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # of several settings together
            raise UsageError(first["msg"].removeprefix("Value error, ")) from None
        key = ".".join(str(part) for part in first["loc"])
        known = ", ".join(kind.model_fields)
        raise UsageError(
            f"{key}: {first['msg'].lower()} (got {first['input']!r}); the settings are {known}"
        ) from None
