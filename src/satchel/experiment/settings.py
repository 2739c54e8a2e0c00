"""Settings of an experiment. The command line reads them without torch."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from satchel.train.settings import ClassifierSettings, EncoderSettings, Stage, TrainSettings
from satchel.validation import StrictModel

PER_CELL: Final = ("backbone", "weights", "stage", "minutes", "loss", "options")
"""Settings of a run that differ between cells, so that `fit` cannot hold them."""

S = TypeVar("S", bound=TrainSettings)


class DatasetSize(StrictModel):
    """Number of products and of training photos of each, written as 81x50, 81xall or allx10."""

    products: int | None = Field(None, ge=2, description="None: all")
    photos: int | None = Field(None, ge=1, description="at most; None: all")

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        parts = re.fullmatch(r"(\d+|all)x(\d+|all)", given)
        if parts is None:
            raise ValueError(
                "expected numbers of products and photos, such as 81x50, 81xall or allx10"
            )
        numbers = (None if part == "all" else int(part) for part in parts.groups())
        return dict(zip(("products", "photos"), numbers, strict=True))

    @model_serializer
    def __str__(self) -> str:
        return f"{self.products or 'all'}x{self.photos or 'all'}"


def _sizes(*written: str) -> tuple[DatasetSize, ...]:
    return tuple(DatasetSize.model_validate(size) for size in written)


class ExperimentSettings(StrictModel):
    """`satchel experiment seed-protocol`: the seed's data sets, networks and losses.

    A data set of more products than the catalogue has gets all of them.
    """

    classify: tuple[DatasetSize, ...] = Field(
        _sizes("81x50", "286x50", "480x50", "829x10"), description="data sets of classifiers"
    )
    embed: tuple[DatasetSize, ...] = Field(
        _sizes("10x110", "81x50"), description="data sets of encoders"
    )
    unseen: tuple[DatasetSize, ...] = Field(
        _sizes("allx50"), description="data sets of encoders, tested on unseen products"
    )
    backbones: tuple[str, ...] = Field(("efficientnet_lite0",), min_length=1)
    weights: dict[str, str] = Field(
        {}, description="backbone → none, hub or a safetensors file; default: from its package"
    )
    stages: tuple[Stage, ...] = Field(("head", "full"), description="of classifiers")
    losses: tuple[str, ...] = Field(
        ("contrastive", "triplet", "margin", "center", "cascaded"), description="of encoders"
    )
    options: dict[str, dict[str, float | int | str | bool]] = Field({}, description="of each loss")
    minutes: float = Field(60.0, gt=0, description="time for all cells")
    fit: dict[str, Any] = Field(
        {}, description="settings of every run; epochs: the maximum for a cell"
    )
    column: str | None = Field(
        None, description="of the catalogue file: each photo's part, except for unseen products"
    )
    val: float = Field(0.1, gt=0, le=0.4, description="share of validation photos")
    test: float = Field(0.2, gt=0, le=0.5, description="share of test photos")
    unseen_test: float = Field(0.5, gt=0, le=0.8, description="share of unseen products")
    fewest_photos: int = Field(5, ge=1, description="products with fewer are left out")
    seed: int = Field(0, ge=0, description="of the choice of products and photos")

    @field_validator("fit")
    @classmethod
    def _valid_for_every_run(cls, given: dict[str, Any]) -> dict[str, Any]:
        kinds = (ClassifierSettings, EncoderSettings)
        for key in given:
            if key in PER_CELL:
                raise ValueError(f"{key} differs between cells: set it outside of fit")
            if not any(key in kind.model_fields for kind in kinds):
                raise ValueError(f"no run has a setting {key}")
        for kind in kinds:
            try:
                kind.model_validate(_known_to(kind, given))
            except ValidationError as error:
                first = error.errors()[0]
                raise ValueError(f"{first['loc'][0]}: {first['msg'].lower()}") from None
        return given

    def of_run(self, kind: type[S], **own: Any) -> S:
        """Settings of one run: `fit`, and its own."""
        return kind.model_validate({**_known_to(kind, self.fit), **own})


def _known_to(kind: type[BaseModel], given: dict[str, Any]) -> dict[str, Any]:
    """Those settings that a kind of run has; only classifiers mix photos."""
    known = set(kind.model_fields) - ({"mix"} if kind is EncoderSettings else set())
    return {key: value for key, value in given.items() if key in known}
