"""Render the catalogue and the query photos of Maison Orvane, a house that does not exist.

Run `python -m recipes.maison.render [--out DIR]`. Everything is computed: shapes, materials,
light, noise; random numbers have fixed seeds, so a second run writes the same bytes.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from recipes.maison.arrays import Array
from recipes.maison.camera import Camera, frame
from recipes.maison.models import MODELS, Model
from recipes.maison.operators import rotation
from recipes.maison.places import STUDIO, Query, queries
from recipes.maison.scene import Placed, Pose, Scene
from recipes.maison.tracer import render

MAISON = Path(__file__).resolve().parents[2] / "examples" / "maison"
HOUSE = "Maison Orvane"
LICENSE = "Apache-2.0"
VIEWS = [(0.0, 6.0), (-38.0, 13.0), (38.0, 13.0), (12.0, 34.0)]
"""Yaw and pitch in degrees: front, three-quarter left, three-quarter right, from above."""

STUDIO_SIZE = 360
"""Side of a catalogue picture in pixels."""


def encode(picture: Array, path: Path, quality: int) -> None:
    """Write a display-ready picture (rows, columns, 3) in 0..1 as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.clip(np.round(picture * 255.0), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=quality, optimize=True, subsampling="4:2:0")


def studio_pictures(model: Model) -> list[Array]:
    """Render the catalogue pictures of one model."""
    scene = Scene([Placed(part, Pose()) for part in model.build()])
    pictures = []
    for yaw, pitch in VIEWS:
        camera = Camera(yaw, pitch + model.tilt)
        window = frame(scene, camera, margin=0.10)
        pictures.append(render(scene, STUDIO, camera, window, size=STUDIO_SIZE, samples=3))
    return pictures


def develop(picture: Array, query: Query, seed: int) -> Array:
    """Degrade a rendered picture (size, size, 3) as a phone's camera does.

    White balance error, vignetting, slight blur, then sensor noise, fine and in blotches.
    """
    rng = np.random.default_rng(seed)
    size = query.size
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    corners = 1.0 - 0.13 * (axis[:, None] ** 2 + axis[None, :] ** 2)
    toned: Array = picture * np.array(query.gains, dtype=np.float32) * corners[..., None]
    soft = cv2.GaussianBlur(toned, (0, 0), 0.55 * size / 640)
    fine = rng.standard_normal(picture.shape, dtype=np.float32)
    coarse: Array = rng.standard_normal(picture.shape, dtype=np.float32)
    blotches = cv2.GaussianBlur(coarse, (0, 0), 1.2)
    return np.asarray(soft + query.grain * (0.6 * fine + 1.5 * blotches), dtype=np.float32)


def query_picture(query: Query, seed: int) -> Array:
    """Render one seller's photo, framed by the model without the clutter."""
    model = next(m for m in MODELS if m.code == query.code)
    pose = Pose(rotation("x", query.tip), (0.0, query.lift, 0.0))
    placed = [Placed(part, pose) for part in model.build()]
    u, v, half = frame(Scene(placed), query.camera, query.margin)
    window = (u - query.shift[0] * half, v - query.shift[1] * half, half)
    scene = Scene(placed + query.clutter)
    samples = 2 if query.size > 1000 else 3
    picture = render(scene, query.setting, query.camera, window, size=query.size, samples=samples)
    return develop(picture, query, seed)


def write_catalogue(out: Path) -> None:
    """Render all models and write catalogue.csv, one row per picture."""
    with (out / "catalogue.csv").open("w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(
            ["code", "brand", "name", "category", "colour", "size", "role", "license", "photo"]
        )
        for model in MODELS:
            facts = [model.code, HOUSE, model.name, model.category, model.colour, model.size]
            for number, picture in enumerate(studio_pictures(model), start=1):
                photo = f"photos/{model.code}/{number}.jpg"
                encode(picture, out / photo, quality=88)
                table.writerow([*facts, "studio", LICENSE, photo])
            print(model.code, model.name, model.colour, flush=True)


def write_queries(out: Path) -> None:
    """Render the sellers' photos and write expected.csv with the right code of each."""
    (out / "queries").mkdir(parents=True, exist_ok=True)
    with (out / "queries" / "expected.csv").open("w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(["photo", "code"])
        for seed, query in enumerate(queries()):
            encode(query_picture(query, seed), out / "queries" / query.file, quality=80)
            table.writerow([query.file, query.code])
            print(query.file, flush=True)


def main() -> None:
    """Read the command line and render everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=MAISON)
    out: Path = parser.parse_args().out
    cv2.setNumThreads(1)
    out.mkdir(parents=True, exist_ok=True)
    write_catalogue(out)
    write_queries(out)


if __name__ == "__main__":
    main()
