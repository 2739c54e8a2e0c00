"""Settings of training runs, as a TOML file, the command line and the run's record hold them.

Light on purpose: the command line reads this without torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    model_validator,
)

from satchel.errors import UsageError
from satchel.validation import StrictModel, reason

CLASS_SEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "bag": ("handbag", "backpack", "suitcase"),
    "small leather good": ("handbag",),
    "watch": ("clock",),
    "scarf": ("tie",),
    "belt": ("tie",),
    "garment": ("tie",),
    "other product": ("bottle", "cup", "vase", "book", "teddy bear", "umbrella"),
}
"""Class of goods → classes of COCO that resemble it."""

Stage = Literal["head", "partial", "full"]
STAGES: Final[tuple[Stage, ...]] = ("head", "partial", "full")


S = TypeVar("S", bound=BaseModel)


class FitSettings(StrictModel):
    """Settings of the training loop; see `satchel.train.fit`."""

    stage: Stage = Field(
        "full",
        description="head: on frozen features, in seconds; partial: the last blocks too; full",
    )
    epochs: int = Field(20, ge=1)
    minutes: float | None = Field(
        None, gt=0, description="time budget: as many epochs as fit, measured as training begins"
    )
    batch: int = Field(32, ge=2, description="photos a step")
    side_px: int = Field(224, ge=32, le=1024, description="input side of the last epochs")
    first_side_px: int | None = Field(
        None,
        ge=32,
        le=1024,
        description="input side of the first epochs, growing to side_px by three quarters of them",
    )
    learning_rate: float = Field(1e-3, gt=0, description="of the backbone's last layers")
    head_rate: float = Field(3e-3, gt=0, description="of new parameters: head, proxies, centres")
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
        description="of matrix products; weights and sums stay in fp32; auto: whichever is faster "
        "here, measured as training begins",
    )
    patience: int | None = Field(
        None, ge=1, description="end after so many epochs that validate no better; none: never"
    )
    freeze_statistics: bool = Field(
        False, description="keep batch norms' running statistics unchanged"
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0: all cores")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _sides_grow(self) -> Self:
        if self.first_side_px is not None and self.first_side_px > self.side_px:
            raise ValueError(
                f"expected first_side_px up to side_px, got {self.first_side_px} and {self.side_px}"
            )
        return self


class TrainSettings(FitSettings):
    """What classifiers and encoders have in common."""

    backbone: str = Field("efficientnet_lite0", description="timm's name, or small_cnn")
    weights: str = Field(
        "auto", description="auto (those that pip brings), none, hub, or a safetensors file"
    )
    recipe: Literal["none", "seed", "strong"] = Field("strong", description="augmentation")
    mix: float = Field(
        0.0, ge=0, le=1, description="share of the batches whose photos are blended in pairs"
    )


class ClassifierSettings(TrainSettings):
    """`satchel train classifier`: which of the split's products a photo shows."""

    head: Literal["cosine", "linear"] = "cosine"
    scale: float = Field(16.0, gt=0, description="of a cosine head: cosines → logits")
    label_smoothing: float = Field(0.1, ge=0, lt=1)


class EncoderSettings(TrainSettings):
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


class LocatorSettings(FitSettings):
    """`satchel train locator`: where goods are in a photo.

    What data, photos, format, class_map, classes and val_share choose is frozen when a run begins.
    """

    data: str | None = Field(
        None, description="annotation file, folder or zip; none: the boxes of the catalogue"
    )
    val_data: str | None = Field(
        None, description="annotations to validate with; none: a share of the photos"
    )
    photos: str | None = Field(None, description="folder of the photos; none: next to the data")
    format: str | None = Field(None, description="of the data; none: recognised")
    class_map: dict[str, str] = Field(
        default_factory=dict, description="class of the data → name to train it under; empty: not"
    )
    classes: tuple[str, ...] = Field((), description="to train; none: all that the data has")
    val_share: float = Field(0.15, gt=0, lt=1, description="share of the photos to validate with")
    architecture: Literal["yolox-nano", "yolox-tiny", "lite0"] = Field(
        "yolox-nano",
        description="lite0 also learns which good of a photo is the main one, for identification",
    )
    weights: str = Field(
        "auto",
        description="to start from; YOLOX: an ONNX file trained on COCO; lite0: a safetensors file "
        "of EfficientNet-Lite0; auto: those that pip brings, which YOLOX has none of; or none",
    )
    class_seeds: dict[str, tuple[str, ...]] = Field(
        default_factory=lambda: dict(CLASS_SEEDS),
        description="class → classes of COCO that its output starts as the mean of",
    )
    class_weights: dict[str, float] = Field(
        default_factory=dict, description="how much a class counts in the class loss; default 1"
    )
    epochs: int = Field(40, ge=1)
    batch: int = Field(16, ge=2, description="photos a step")
    side_px: int = Field(320, ge=64, le=1024, description="input side, in multiples of 32")
    multi_scale: int = Field(
        2, ge=0, le=8, description="input sides vary by up to so many times 32 pixels"
    )
    photos_per_epoch: int | None = Field(
        None, ge=1, description="drawn anew for each epoch; none: all photos"
    )
    mosaic: float = Field(
        0.5, ge=0, le=1, description="share of the views that are mosaics of four photos"
    )
    mosaic_scales: tuple[float, float] = Field(
        (0.45, 1.2), description="least and greatest scale of a photo in a mosaic"
    )
    scales: tuple[float, float] = Field(
        (0.6, 1.4), description="of a single photo; at 1 its longer side fills the input"
    )
    plain_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share of the epochs, at the end, without mosaics and multi-scale and with a "
        "loss of box offsets",
    )
    learning_rate: float = Field(1e-3, gt=0, description="of the pyramid")
    head_rate: float = Field(2e-3, gt=0, description="of the heads")
    layer_decay: float = Field(
        0.8, gt=0, le=1, description="learning rate of a stage, as a share of the next one's"
    )
    choose_by: Literal["ap", "ap50", "ap75", "main_iou"] = Field(
        "ap", description="validation figure that chooses the best weights"
    )
    iou: float = Field(
        0.5, gt=0, le=1, description="detections that overlap a better one by more are dropped"
    )

    @property
    def starts_from_file(self) -> bool:
        """Whether `weights` is a file's path."""
        return self.weights not in ("auto", "none")

    def plain_epochs(self, epochs: int) -> int:
        """How many of the last epochs are plain; see `plain_share`."""
        return min(epochs, round(self.plain_share * epochs))

    @model_validator(mode="after")
    def _scales_in_order(self) -> Self:
        for name in ("mosaic_scales", "scales"):
            low, high = getattr(self, name)
            if not 0.05 <= low <= high <= 4:
                raise ValueError(f"expected {name} from 0.05 to 4 in order, got {low} and {high}")
        return self


def read_settings_file(kind: type[S], path: Path | None, *given: Mapping[str, Any]) -> S:
    """Read settings: what is given wins over the file, key by key, the file over the defaults.

    Args:
        given: of several, the later one wins; None is as if not given.

    Raises:
        UsageError: the file does not parse, or holds a key or value that does not exist.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
        for key, value in (item for one in given for item in one.items()):
            table = isinstance(value, dict) and isinstance(values.get(key), dict)
            if value is not None:
                values[key] = {**values[key], **value} if table else value
        return kind.model_validate(values)
    except OSError as error:
        raise UsageError(f"expected a settings file at {path}: {reason(error)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    except ValidationError as error:
        known = ", ".join(kind.model_fields)
        raise UsageError(f"{reason(error, kind)}; the settings are {known}") from None
