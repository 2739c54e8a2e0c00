"""Decoding in workers against decoding in this process: each side in turn, in one run.

    python -m benchmarks.decoding

A photo alone, an identification with the built-in encoder, a one-photo command from a cold start,
an import; and what converting a phone's colours (Display P3) costs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.reporting import print_table, write_json
from benchmarks.startup import MAISON, demo_workspace
from satchel.decoding.decoder import IN_PROCESS, Decoder
from satchel.decoding.pool import DecoderPool
from satchel.decoding.profiles import to_srgb
from satchel.identify import Identifier
from satchel.images import decode

QUERIES = sorted((MAISON / "queries").glob("*.jpg"))
ROUNDS = 60
COLD_ROUNDS = 9


def photos() -> dict[str, bytes]:
    """A photo as the demo has it, and one of 12 megapixels with a sensor's noise."""
    pixels = decode(QUERIES[0].read_bytes(), min_side_px=None)
    noise = np.random.default_rng(0).normal(0, 4, (3_000, 4_000, 1))
    large = cv2.resize(pixels, (4_000, 3_000), interpolation=cv2.INTER_CUBIC) + noise
    picture = Image.fromarray(large.clip(0, 255).astype(np.uint8))
    found = {"JPEG as the demo has": QUERIES[0].read_bytes()}
    for name, kind, options in (
        ("JPEG, 12 MP", "JPEG", {"quality": 88}),
        ("WebP, 12 MP", "WEBP", {"quality": 80, "method": 2}),
    ):
        buffer = BytesIO()
        picture.save(buffer, kind, **options)
        found[name] = buffer.getvalue()
    return found


def medians_ms(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each side; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for at in range(rounds + 3):
        for name, side in sides.items():
            began = time.perf_counter()
            side()
            if at >= 3:  # what is loaded once is not measured
                times[name].append(1e3 * (time.perf_counter() - began))
    return {name: round(statistics.median(taken), 1) for name, taken in times.items()}


def try_decoding(sides: Mapping[str, Decoder]) -> dict[str, dict[str, float]]:
    """Decode single photos, from Python."""

    def decoding(decoder: Decoder, data: bytes) -> Callable[[], object]:
        return lambda: decoder.decode(data)

    return {
        f"decode: {name}, {len(data) / 1e6:.1f} MB": medians_ms(
            {side: decoding(decoder, data) for side, decoder in sides.items()}, ROUNDS
        )
        for name, data in photos().items()
    }


def try_identifying(workspace: Path, sides: Mapping[str, Decoder]) -> dict[str, dict[str, float]]:
    """Identify with a loaded encoder."""
    identifiers = {
        side: Identifier.open(workspace, decoder=decoder) for side, decoder in sides.items()
    }

    def identifying(identifier: Identifier, data: bytes) -> Callable[[], object]:
        return lambda: identifier.identify(data)

    return {
        f"identify: {name}": medians_ms(
            {side: identifying(one, data) for side, one in identifiers.items()}, ROUNDS
        )
        for name, data in photos().items()
    }


COLD = """
import sys
from pathlib import Path
from satchel.served import load_in_background
from satchel.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]))
embedder = load_in_background(workspace)
from satchel.decoding.decoder import IN_PROCESS
decoder = IN_PROCESS
if sys.argv[3] == "workers":
    from satchel.decoding.pool import DecoderPool
    decoder = DecoderPool(memory_bytes=640_000_000)
    decoder.start()
from satchel.identify import Identifier
identifier = Identifier.open(workspace, embedder=embedder, decoder=decoder)
identifier.identify(Path(sys.argv[2]).read_bytes())
"""


def try_cold(workspace: Path, sides: Mapping[str, Decoder]) -> dict[str, dict[str, float]]:
    """What `satchel identify PHOTO` does, as a new process each time."""

    def run(side: str) -> Callable[[], object]:
        command = [sys.executable, "-c", COLD, str(workspace), str(QUERIES[0]), side]
        return lambda: subprocess.run(command, check=True)

    return {"cold: one photo": medians_ms({side: run(side) for side in sides}, COLD_ROUNDS)}


def try_importing(sides: Mapping[str, Decoder]) -> dict[str, dict[str, float]]:
    """Convert the demo's photos to what is stored, one after another."""
    data = [path.read_bytes() for path in sorted((MAISON / "photos").rglob("*.jpg"))[:60]]

    def cleaning(decoder: Decoder) -> Callable[[], object]:
        return lambda: [decoder.clean(photo) for photo in data]

    clean = {side: cleaning(decoder) for side, decoder in sides.items()}
    return {f"clean {len(data)} photos of the demo": medians_ms(clean, 5)}


def try_profile() -> dict[str, dict[str, float]]:
    """Convert the pixels of an identification from Display P3 to sRGB."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
    from support.icc import P3, matrix_profile

    profile = matrix_profile(P3)
    pixels = np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8)
    converted = medians_ms({"in this process": lambda: to_srgb(pixels.copy(), profile)}, ROUNDS)
    return {"Display P3 → sRGB, 500 × 375": converted}


def main() -> None:
    """Run all trials and print the results."""
    with tempfile.TemporaryDirectory() as folder, DecoderPool(memory_bytes=300_000_000) as pool:
        workspace = demo_workspace(Path(folder) / "shop")
        sides: dict[str, Decoder] = {"in this process": IN_PROCESS, "workers": pool}
        figures = {
            **try_decoding(sides),
            **try_identifying(workspace, sides),
            **try_cold(workspace, sides),
            **try_importing(sides),
            **try_profile(),
        }
    rows = [(what, *(found.get(side, "") for side in sides)) for what, found in figures.items()]
    print_table("medians, ms", ("", *sides), rows)
    write_json("decoding", figures)


if __name__ == "__main__":
    main()
