"""Settings of `satchel adapt`. Light on purpose: the command line reads this without torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from satchel.train.settings import FitSettings
from satchel.validation import StrictModel


class FiniteSettings(StrictModel):
    """Settings whose numbers are finite: a run's record, which is JSON, has no others."""

    model_config = ConfigDict(allow_inf_nan=False)


class SynthSettings(FiniteSettings):
    """How strongly a synthetic photo differs from the photo it is made of.

    1 is what was measured, 0 switches a source off. What each scales: `satchel.adapt.compose`.
    """

    real_backgrounds: float = Field(
        0.6, ge=0, le=1, description="share on real backgrounds, where a folder of them is given"
    )
    clutter: float = Field(
        1.0, ge=0, le=2, description="copies, other products, hands and other occlusions"
    )
    geometry: float = Field(1.0, ge=0, le=2, description="rotation, perspective and aspect ratio")
    light: float = Field(
        1.0, ge=0, le=2, description="shadows, uneven light, exposure, white balance, contrast"
    )
    degradation: float = Field(1.0, ge=0, le=2, description="blur, sensor noise and JPEG artefacts")


class HeadSettings(FiniteSettings):
    """How the built-in encoder's head is trained, on synthetic photos that passed it once."""

    max_per_photo: int = Field(
        40, ge=1, description="synthetic photos of each gallery photo, even if more would fit"
    )
    epochs: int = Field(10, ge=1, description="passes over the synthetic photos")
    batch: int = Field(128, ge=2, description="synthetic photos a step")
    learning_rate: float = Field(1e-4, gt=0, description="of the head")
    prototype_rate: float = Field(1e-3, gt=0, description="learning rate of product prototypes")
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps")
    scale: float = Field(30.0, gt=0, description="of cosines to logits")
    prototype_centering: float = Field(
        0.5, ge=0, le=1, description="share of the mean vector subtracted from first prototypes"
    )
    ensemble_weight: float = Field(
        0.3, gt=0, lt=1, description="of the adapted head's vector; the built-in one has the rest"
    )


class PairSettings(FiniteSettings):
    """How an image encoder is trained on real pairs, where products have some.

    Sellers' photos that experts certified, and the catalogue's photos of the same products.
    """

    blocks: int | None = Field(
        None,
        ge=1,
        description="last blocks of the encoder that are trained. 1: of the built-in encoder its "
        "head alone, on photos that passed it once; with more, photos pass it anew at each step. "
        "None: all where torch has CUDA, else 1",
    )
    views: int = Field(
        6, ge=0, description="random crops of each photo, besides the whole one and its object"
    )
    steps: int = Field(150, ge=1, description="batches")
    batch: int = Field(160, ge=4, description="photos a step at most, half of them sellers'")
    twins: int = Field(4, ge=1, description="near twins of a product that are in its batch with it")
    learning_rate: float = Field(1e-5, gt=0, description="of the layers that the encoder has")
    new_rate: float = Field(3e-4, gt=0, description="of the projection, which is new")
    weight_decay: float = Field(0.01, ge=0)
    warmup: int = Field(
        20, ge=1, description="steps until the full rate, of the head alone; else a 20th of them"
    )
    temperature: float = Field(0.07, gt=0, description="of cosines of a pair")
    distillation: float = Field(
        1.0, ge=0, description="weight of catalogue and synthetic photos keeping their vectors"
    )
    whitening: float = Field(
        0.25, ge=0, le=0.5, description="power of the map that the projection begins as"
    )
    interpolation_weights: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        (0.25, 0.5, 0.75, 1.0),
        min_length=1,
        description="of the trained weights; those of the start have the rest. The one that is "
        "best on real photos of held-out products is taken",
    )


class NetworkSettings(FiniteSettings):
    """How another encoder is trained, as a whole network."""

    max_per_photo: int = Field(
        170,
        ge=1,
        description="synthetic photos of each gallery photo, even if there is time for more: from "
        "then on the network learns how synthetic photos look",
    )
    per_epoch: int = Field(2048, ge=1, description="synthetic photos in an epoch, at least")
    epochs: int = Field(20, ge=1, description="where there is no budget of minutes")
    batch: int = Field(32, ge=2, description="synthetic photos a step")
    side_px: int = Field(128, ge=64, le=1024, description="input side in training")
    learning_rate: float = Field(3e-4, gt=0, description="of the last layers")
    prototype_rate: float = Field(1e-3, gt=0, description="learning rate of product prototypes")
    average: float = Field(0.995, ge=0, lt=1, description="decay of the moving average of weights")
    scale: float = Field(24.0, gt=0, description="of cosines to logits")
    prototype_centering: float = Field(
        0.8, ge=0, le=1, description="share of the mean vector subtracted from first prototypes"
    )
    interpolation_weight: float = Field(
        0.5, gt=0, le=1, description="of the trained weights; those of the start have the rest"
    )
    ensemble_weight: float = Field(
        0.5, ge=0, le=1, description="of the adapted network's vector; the start's has the rest"
    )

    def fit_settings(self, *, minutes: float | None, seed: int, threads: int) -> FitSettings:
        """Settings of `satchel.train.fit.fit`."""
        return FitSettings(
            minutes=minutes,
            epochs=self.epochs,
            batch=self.batch,
            side_px=self.side_px,
            learning_rate=self.learning_rate,
            head_rate=self.prototype_rate,
            average=self.average,
            precision="fp32",
            freeze_statistics=True,
            seed=seed,
            threads=threads,
        )


class AdaptSettings(FiniteSettings):
    """`satchel adapt`: the served encoder, fitted to the catalogue's own photos."""

    minutes: float | None = Field(
        30.0,
        gt=0,
        description="time budget, of the head for all of it, of a network for training: as many "
        "synthetic photos or epochs as fit, measured as it begins; one at the least",
    )
    val_share: float = Field(
        0.05, ge=0, le=0.5, description="share of the products that is held out for validation"
    )
    n_val_queries: int = Field(400, ge=2, description="synthetic photos to validate with")
    margin: float = Field(0.1, ge=0, lt=1, description="by which the right cosine must lead")
    duplicate_cosine: float = Field(
        0.97, ge=-1, le=1, description="cosine of two photos from which products are not separated"
    )
    backgrounds: str | None = Field(None, description="folder of photos to compose on")
    synth: SynthSettings = SynthSettings()
    head: HeadSettings = Field(HeadSettings(), description="where the built-in encoder is served")
    pairs: PairSettings = Field(PairSettings(), description="where products have real pairs")
    network: NetworkSettings = Field(NetworkSettings(), description="where another one is served")
    threads: int = Field(0, ge=0, description="CPU threads; 0: all cores")
    seed: int = Field(0, ge=0)
