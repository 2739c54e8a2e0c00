"""Tune CLIP's image encoder to the number of patches that it ships with, by distillation.

    npm pack @lobehub/fluent-emoji-3d@1.1.0   # and unpack it
    python -m recipes.clip_b16.tune RUN --official open_clip_model.safetensors \
        --emoji package/assets --street STREET

Two minutes on a GPU and sixteen cores (decision 19). The encoder was trained at 224
pixels; of what it loses at fewer it regains a part when it is trained at those (H. Touvron et al.,
"Fixing the train-test resolution discrepancy", NeurIPS 2019). There are no labels: the
teacher, the original encoder, encodes synthetic photos with 196 patches at most; the student, with
121, learns to give the same vector, the same patches and the same attention.
A contrastive loss makes a synthetic photo most similar to its source image (A. van den
Oord et al., "Representation learning with contrastive predictive coding", 2018), by the vectors
alone and with local features, as identification ranks.

The shipped weights are half way between start and end (M. Wortsman et al., "Robust fine-tuning of
zero-shot models", CVPR 2022): `recipes.clip_b16.recipe` reads both.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import save_file
from torch.nn.functional import cross_entropy, interpolate, normalize

from recipes.clip_b16.pool import (
    COMPOSED_PX,
    Pool,
    SyntheticPhotos,
    clean_pictures,
)
from recipes.clip_b16.recipe import CROP_PX, add_sources, read_start
from recipes.free_pictures import FreePicture, emoji, street, training_photos
from satchel.adapt.clip_file import PATCH, Weights, as_clip
from satchel.adapt.compose.backgrounds import Backgrounds, load_backgrounds
from satchel.adapt.compose.foreground import extract_foregrounds
from satchel.adapt.network import LiveEncoder
from satchel.adapt.vit_torch import ImageFeatures, TorchVit, clip_vit
from satchel.encode.crops import CropShape
from satchel.parallel import cores
from satchel.progress import Progress
from satchel.train.lite0 import ARCHITECTURE, SIDE_PX
from satchel.train.pretrained import create
from satchel.train.schedule import share_of_rate

TUNED: Final = "tuned.safetensors"
FOREGROUNDS: Final = "foregrounds.npy"
BACKGROUNDS: Final = "backgrounds.npy"

BACKGROUND_PX: Final = 320
SHAPES: Final = ((1, 1), (1, 1), (4, 3), (3, 4), (3, 2), (2, 3), (16, 9), (9, 16))
"""Height to width of crops, drawn uniformly."""

SHOWN: Final = (0.7, 1.0)
"""Longer side of a crop, as a share of the synthetic photo's side."""

LOCAL_COUNTS: Final = 0.7
"""Weight of the local features' similarity relative to the vectors' cosine, as in search."""

LOCAL_AT_ONCE: Final = 32
REPORT_EVERY: Final = 50


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How the image encoder is trained.

    Attributes:
        steps: of `batch` pictures, each with a synthetic photo of it.
        rounds: synthetic photos of each picture; as many as are ready take part.
        rate, decay: of AdamW; the rate rises over `warmup` steps, then falls as a cosine to 0.
        side_px, teacher_px: sides of a square crop, for the trained encoder and for its teacher.
        patches, attended, contrast, local: weights of these losses relative to that of the vectors.
        temperature: of `contrast` and `local`.
        seed: of synthetic photos, batches and crops.
    """

    steps: int = 361
    batch: int = 256
    rounds: int = 20
    rate: float = 2e-5
    decay: float = 0.01
    warmup: int = 28
    side_px: int = CROP_PX
    teacher_px: int = 224
    patches: float = 0.5
    attended: float = 0.1
    contrast: float = 0.3
    local: float = 0.3
    temperature: float = 0.07
    seed: int = 0


# -- objective -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Objective:
    """Distillation objective of the trained encoder.

    Attributes:
        centre: mean of the teacher's vectors, shape (d,), which is subtracted.
        token_centre: the same of its patches' tokens.
    """

    settings: TuneSettings
    centre: torch.Tensor
    token_centre: torch.Tensor

    def losses(self, seen: ImageFeatures, taught: ImageFeatures) -> dict[str, torch.Tensor]:
        """Losses by name, by the names of their weights in the settings, and `vectors`.

        Args:
            seen, taught: by the trained encoder and by its teacher, of the same crops: first of n
                synthetic photos, then of their n source images.
        """
        own, theirs = (normalize(one.vectors - self.centre, dim=1) for one in (seen, taught))
        patches = normalize(seen.tokens.float() - self.token_centre, dim=2)
        composed, clean = own.chunk(2)
        likeness, heat = composed @ clean.T, self.settings.temperature
        of_synthetic, of_clean = patches.chunk(2)
        local = local_likeness((of_synthetic, of_clean), seen.attention.chunk(2)[0])
        right = torch.arange(len(likeness), device=likeness.device)
        both_ways = (cross_entropy(way / heat, right) for way in (likeness, likeness.T))
        return {
            "vectors": (1 - (own * theirs).sum(1)).mean(),
            "patches": (1 - (patches * self._taught_patches(taught, seen.grid)).sum(2)).mean(),
            "attended": _attended(seen, taught),
            "contrast": torch.stack(list(both_ways)).mean(),
            "local": cross_entropy((likeness + LOCAL_COUNTS * local) / heat, right),
        }

    def total(self, losses: dict[str, torch.Tensor]) -> torch.Tensor:
        """The losses' weighted sum."""
        weights = {name: getattr(self.settings, name) for name in losses if name != "vectors"}
        found: torch.Tensor = losses["vectors"]
        for name, weight in weights.items():
            found = found + weight * losses[name]
        return found

    def _taught_patches(self, taught: ImageFeatures, grid: tuple[int, int]) -> torch.Tensor:
        planes = taught.tokens.float().transpose(1, 2).unflatten(2, taught.grid)
        tokens = interpolate(planes, grid, mode="bilinear", antialias=True).flatten(2)
        found: torch.Tensor = normalize(tokens.transpose(1, 2) - self.token_centre, dim=2)
        return found


def local_likeness(
    patches: tuple[torch.Tensor, torch.Tensor], attention: torch.Tensor
) -> torch.Tensor:
    """Local-feature similarity of queries and gallery images, as in identification.

    Args:
        patches: of queries and of pictures, of length 1; shapes (n, p, d) and (m, q, d).
        attention: weight of each patch of a query, shape (n, p); its sum does not matter.

    Returns:
        Shape (n, m): mean over a query's patches of the greatest cosine in the picture.
    """
    counts = attention.detach().float()
    counts = counts / counts.sum(1, keepdim=True)
    queries, pictures = (one.bfloat16() for one in patches)
    flat = pictures.flatten(0, 1).T
    found = []
    for some, weights in zip(
        queries.split(LOCAL_AT_ONCE), counts.split(LOCAL_AT_ONCE), strict=True
    ):
        cosines = (some.flatten(0, 1) @ flat).unflatten(1, pictures.shape[:2])
        best = cosines.amax(2).float().unflatten(0, some.shape[:2])
        found.append((best * weights[:, :, None]).sum(1))
    return torch.cat(found)


def _attended(seen: ImageFeatures, taught: ImageFeatures) -> torch.Tensor:
    """Kullback-Leibler divergence of the class token's attention from the teacher's."""
    planes = taught.attention.float()[:, None].unflatten(2, taught.grid)
    theirs = interpolate(planes, seen.grid, mode="bilinear", antialias=True).flatten(1)
    theirs = (theirs / theirs.sum(1, keepdim=True)).clamp_min(1e-6)
    own = seen.attention.float()
    own = (own / own.sum(1, keepdim=True)).clamp_min(1e-6)
    return (theirs * (theirs / own).log()).sum(1).mean()


# -- training --------------------------------------------------------------------------------------


def tune(
    start: Weights,
    pool: Pool,
    clean: torch.Tensor,
    settings: TuneSettings,
    on_step: Callable[[int, dict[str, float]], None],
) -> Weights:
    """Train the image encoder.

    Args:
        clean: the pool's pictures as they are, shape (n, side, side, 3), uint8, on the card.
        on_step: called with a step and its losses, every `REPORT_EVERY` steps.

    Returns:
        The weights of the end.
    """
    rng = np.random.default_rng(settings.seed)
    teacher, student = (clip_vit(start).to(clean.device) for _ in range(2))
    teacher.requires_grad_(False)
    optimiser = torch.optim.AdamW(
        student.parameters(), settings.rate, weight_decay=settings.decay, fused=clean.is_cuda
    )
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: share_of_rate(step, settings.steps, settings.warmup)
    )
    objective = None
    for step, rows in zip(range(settings.steps), _batches(len(clean), settings, rng), strict=False):
        places = rows + len(clean) * rng.integers(0, pool.each, len(rows))
        shown = torch.cat([pool.composed[torch.from_numpy(places)], clean[torch.from_numpy(rows)]])
        parts = cut_alike(shown, SHAPES[int(rng.integers(len(SHAPES)))], rng)
        with torch.autocast(clean.device.type, torch.bfloat16):
            with torch.no_grad():
                taught = seen_by(teacher, parts, settings.teacher_px)
            seen = seen_by(student, parts, settings.side_px)
        if objective is None:
            means = taught.vectors.mean(0), taught.tokens.float().mean((0, 1))
            objective = Objective(settings, *means)
        losses = objective.losses(seen, taught)
        optimiser.zero_grad(set_to_none=True)
        objective.total(losses).backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        rates.step()
        if step % REPORT_EVERY == 0 or step == settings.steps - 1:
            on_step(step, {name: float(value.detach()) for name, value in losses.items()})
    return as_clip(student.weights())


def _batches(
    pictures: int, settings: TuneSettings, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Pictures of each step, none twice in one; without end."""
    batch = min(settings.batch, pictures)
    while True:
        order = rng.permutation(pictures)
        for at in range(0, pictures - batch + 1, batch):
            yield order[at : at + batch]


def cut_alike(
    pictures: torch.Tensor, shape: tuple[int, int], rng: np.random.Generator
) -> torch.Tensor:
    """Crop each at random to one size; shape (n, 3, h, w), float32 in [0, 255].

    Args:
        pictures: shape (n, side, side, 3), uint8.
        shape: height to width of the part.
    """
    count, side = pictures.shape[:2]
    longer = side * rng.uniform(*SHOWN)
    height, width = (max(PATCH, round(longer * one / max(shape))) for one in shape)
    ranges = []
    for size in (height, width):
        first = torch.from_numpy(rng.integers(0, side - size + 1, (count, 1)))
        ranges.append((first + torch.arange(size)).to(pictures.device))
    each = torch.arange(count, device=pictures.device)[:, None, None]
    part = pictures[each, ranges[0][:, :, None], ranges[1][:, None, :]]
    return part.permute(0, 3, 1, 2).float()


def seen_by(encoder: TorchVit, parts: torch.Tensor, side_px: int) -> ImageFeatures:
    """Encode crops of photos, resized to the input of an encoder of this side."""
    size = CropShape(side_px, PATCH).fitting(*parts.shape[2:])
    crops = interpolate(parts, size, mode="bilinear", antialias=True).clamp(0, 255)
    found: ImageFeatures = encoder(crops)
    return found


# -- the run ---------------------------------------------------------------------------------------


def tune_to_free_pictures(
    start: Weights,
    pictures: list[FreePicture],
    backgrounds: Backgrounds,
    folder: Path,
    settings: TuneSettings,
    *,
    progress: Progress,
    on_step: Callable[[int, dict[str, float]], None],
) -> Path:
    """Train the image encoder on synthetic photos of free pictures.

    Args:
        folder: of the run; foregrounds that are in it already are not extracted again.
        on_step: see `tune`.

    Returns:
        The file of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    photos = training_photos(pictures, LiveEncoder(create(ARCHITECTURE), SIDE_PX))
    foregrounds = extract_foregrounds(
        folder / FOREGROUNDS,
        photos.names,
        photos.boxes,
        photos.read,
        side_px=COMPOSED_PX,
        progress=progress,
    )
    np.save(folder / BACKGROUNDS, backgrounds.photos)
    synthetic = SyntheticPhotos(
        folder / FOREGROUNDS,
        folder / BACKGROUNDS,
        rounds=settings.rounds,
        seed=settings.seed,
    )
    clean = torch.from_numpy(clean_pictures(foregrounds)).to(device)
    with Pool(synthetic, device, max(1, cores() - 1)) as pool:
        weights = tune(start, pool, clean, settings, on_step)
    save_file(weights, folder / TUNED)
    return folder / TUNED


def main() -> None:
    """Read, train, write."""
    from satchel.cli.shared import Bars  # noqa: PLC0415 - progress as of other commands

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder")
    add_sources(parser)
    parser.add_argument("--emoji", type=Path, required=True, help="assets of fluent-emoji-3d")
    parser.add_argument("--street", type=Path, required=True, help="holds train.json and images/")
    asked = parser.parse_args()
    photos = asked.street / "images"
    with Bars() as bars:

        def on_step(step: int, losses: dict[str, float]) -> None:
            bars.end()
            print(f"step {step}: " + "  ".join(f"{name} {v:.4f}" for name, v in losses.items()))

        written = tune_to_free_pictures(
            read_start(asked)[0],
            emoji(asked.emoji) + street(asked.street / "train.json", photos),
            load_backgrounds(photos, BACKGROUND_PX),
            asked.run,
            TuneSettings(),
            progress=bars,
            on_step=on_step,
        )
    print(written)


if __name__ == "__main__":
    main()
