"""How a photo becomes a vector: pooling, looks, flips and PCA-whitening, on the dev tasks.

    python benchmarks/pooling.py        (needs the train extra; about ten minutes on two cores)

The table behind docs/decisions/0003-vector.md, of what is now the light encoder's first network.
Every variant uses the same network and the same crops; they differ in how its last feature map
becomes one vector.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from accuracy import Vectors, ranks
from datasets import SHARED, distinct_paths, tasks
from reporting import print_table, write_json
from satchel.images import RGB, crop, decode
from satchel.locate.saliency import salient_box
from satchel.parallel import batched
from satchel.records import WHOLE_PHOTO, Box
from satchel.train.backbones import LITE_MEAN, LITE_STD, create
from satchel.train.export import centred
from satchel.train.lite0 import ARCHITECTURE, SIDE_PX

LOOKS = 3
POOLINGS = ("avg", "gem")


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; shape (n, d)."""
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def features(backbone: torch.nn.Module, crops: np.ndarray) -> torch.Tensor:
    """Last feature map of crops (n, side, side, 3) uint8; shape (n, c, h, w)."""
    scaled = (torch.from_numpy(crops).permute(0, 3, 1, 2) / 255 - LITE_MEAN) / LITE_STD
    return backbone.forward_features(scaled)


def pooled(maps: torch.Tensor) -> dict[str, np.ndarray]:
    """Average, and generalised mean with p = 3 (Radenović et al. 2018, eq. 3); each (n, c)."""
    gem = maps.clamp_min(1e-6).pow(3).mean((2, 3)).pow(1 / 3)
    return {"avg": unit(maps.mean((2, 3)).numpy()), "gem": unit(gem.numpy())}


@torch.inference_mode()
def look(backbone: torch.nn.Module, photos: list[RGB]) -> dict[str, np.ndarray]:
    """Vectors of every look, pooling and flip, as {"avg1": (n, c), "gem3 flipped": …}."""
    boxes: list[Box] = [WHOLE_PHOTO] * len(photos)
    found = {}
    for number in range(1, LOOKS + 1):
        cuts = [crop(photo, box, SIDE_PX) for photo, box in zip(photos, boxes, strict=True)]
        crops = np.stack(cuts)
        maps = features(backbone, crops)
        flipped = features(backbone, crops[:, :, ::-1].copy())
        for name, rows in pooled(maps).items():
            found[f"{name}{number}"] = rows
        for name, rows in pooled(flipped).items():
            found[f"{name}{number} flipped"] = rows
        seen = centred(maps.sum(1), SIDE_PX).numpy()
        boxes = [salient_box(s).within(box) for s, box in zip(seen, boxes, strict=True)]
    return found


def look_at_all(paths: list[Path]) -> dict[str, np.ndarray]:
    """Every vector of every photo, in the order of the paths."""
    backbone = create(ARCHITECTURE).network.eval()
    parts = [
        look(backbone, [decode(path.read_bytes()) for path in batch])
        for batch in batched(paths, 16)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def looks_summed(found: dict[str, np.ndarray], pooling: str, count: int) -> np.ndarray:
    """The first `count` looks, added."""
    return unit(np.sum([found[f"{pooling}{number}"] for number in range(1, count + 1)], axis=0))


def whitened(rows: np.ndarray, others: np.ndarray, dimension: int, power: float) -> np.ndarray:
    """PCA learned on `others`, to `dimension`, components divided by variance ** power."""
    mean = others.mean(0)
    _, spread, axes = np.linalg.svd(others - mean, full_matrices=False)
    variance = spread[:dimension] ** 2 / len(others)
    return unit((rows - mean) @ axes[:dimension].T / variance**power)


def variants(found: dict[str, np.ndarray], street: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every variant compared, by name."""
    avg3, gem3 = looks_summed(found, "avg", 3), looks_summed(found, "gem", 3)
    flips = np.sum([found[f"avg{n}"] + found[f"avg{n} flipped"] for n in range(1, 4)], axis=0)
    chosen = {
        "average, whole photo": found["avg1"],
        "GeM, whole photo": found["gem1"],
        "average and GeM, whole photo": unit(np.hstack([found["avg1"], found["gem1"]])),
        "average, second look alone": found["avg2"],
        "average, third look alone": found["avg3"],
        "average, two looks": looks_summed(found, "avg", 2),
        "average, three looks (lite0)": avg3,
        "GeM, three looks": gem3,
        "average and GeM, three looks": unit(np.hstack([avg3, gem3])),
        "average, three looks, each flipped too": unit(flips),
    }
    strangers = looks_summed(street, "avg", 3)
    for dimension, power in ((256, 0.0), (512, 0.0), (256, 0.5), (512, 0.5)):
        kind = "PCA-whitened" if power else "PCA"
        chosen[f"average, three looks, {kind} to {dimension}"] = whitened(
            avg3, strangers, dimension, power
        )
    return chosen


def main() -> None:
    """Print the table and write the JSON."""
    chosen = tasks("dev")
    paths = distinct_paths(chosen)
    found = look_at_all(paths)
    street = look_at_all(sorted((SHARED / "street" / "images").glob("*.jpg")))
    rows, figures = [], []
    for name, matrix in variants(found, street).items():
        vectors: Vectors = dict(zip(paths, np.ascontiguousarray(matrix, np.float32), strict=True))
        cells: list[object] = [name]
        for task in chosen:
            rank = ranks(task, vectors)
            top = {k: float((rank <= k).mean()) for k in (1, 5)}
            figures.append({"variant": name, "task": task.name, "top": top})
            cells.append(f"{100 * top[1]:.1f} / {100 * top[5]:.1f}")
        rows.append(cells)
    print_table("top-1 / top-5 %", ["variant", *(task.name for task in chosen)], rows)
    write_json("pooling-dev", figures)


if __name__ == "__main__":
    main()
