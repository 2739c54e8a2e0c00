"""Speed: ingest, identification, cold start, memory; both sides of each comparison in one run.

    python -m benchmarks.speed [ingest|identify|gallery]   (ingest needs the train extra)

Machines are noisy, so the sides take turns and medians are reported. `gallery` compares embedding a
gallery with the built-in detector and with saliency: photos a second, and seconds of processor time
per photo, which other work on the machine changes less.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice, repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.accuracy import near
from benchmarks.datasets import SHARED
from benchmarks.reporting import print_table, write_json
from satchel.convert.vit.served import KEPT
from satchel.encode.colour import COLOURS
from satchel.encode.embed import embed
from satchel.encode.encoder import Encoder
from satchel.identify import Identifier
from satchel.images import decode
from satchel.locate.locator import Locator
from satchel.locate.registry import configured_locator
from satchel.locate.rules import LocateRules
from satchel.parallel import batched, cores, map_in_order
from satchel.records import WHOLE_PHOTO, PhotoEmbedding
from satchel.search.indexing import BATCH_PHOTOS, build_index
from satchel.served import served_space
from satchel.train.torchvision_ops import declare_missing_ops
from satchel.workspace import Workspace

ROUNDS = 3
BIG_PHOTOS = 48
SMALL_PHOTOS = 96
GALLERY = 3_000
CALLS = 300


# -- photos -------------------------------------------------------------------------------------


def small_photos() -> list[Path]:
    """Phone photos taken in shops, as the shared data has them: short side 288 pixels."""
    return sorted((SHARED / "grocery" / "dataset" / "test").rglob("*.jpg"))[:SMALL_PHOTOS]


def big_photos(folder: Path) -> list[Path]:
    """Real photos brought to 2048 × 1536, with a phone sensor's noise, as JPEGs of about 0.8 MB.

    The shared data has no photo of this size. Enlarging alone would leave too little detail and
    make decoding cheaper than it is in life; the noise brings the bytes to a phone's.
    """
    rng = np.random.default_rng(0)
    sources = sorted((SHARED / "dreambooth").rglob("*.jpg"))
    paths = []
    for number, source in enumerate(islice(cycle(sources), BIG_PHOTOS)):
        pixels = decode(source.read_bytes(), min_side_px=None)
        height = pixels.shape[1] * 3 // 4
        large = cv2.resize(pixels[:height], (2048, 1536), interpolation=cv2.INTER_CUBIC)
        noisy = large + rng.normal(0, 4, (1536, 2048, 1))
        path = folder / f"{number}.jpg"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        paths.append(path)
    return paths


# -- ingest: photos a second --------------------------------------------------------------------


def plain_loader(backbone: Any, workers: int) -> Callable[[list[Path]], None]:
    """Pillow and timm as their documentation shows them, in batches of 16."""
    import timm

    transform = timm.data.create_transform(**timm.data.resolve_data_config(model=backbone))

    class Photos(torch.utils.data.Dataset[torch.Tensor]):
        def __init__(self, paths: list[Path]) -> None:
            self.paths = paths

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, at: int) -> torch.Tensor:
            pixels: torch.Tensor = transform(Image.open(self.paths[at]).convert("RGB"))
            return pixels

    def run(paths: list[Path]) -> None:
        loader = torch.utils.data.DataLoader(Photos(paths), batch_size=16, num_workers=workers)
        with torch.inference_mode():
            for batch in loader:
                backbone.forward_features(batch)[:, 0].numpy()

    return run


def plain_network() -> Any:
    """The shipped network in timm; its weights do not affect the time."""
    declare_missing_ops()
    import timm

    return timm.create_model("vit_base_patch16_clip_quickgelu_224", num_classes=0).eval()


def shipped(
    encoder: Encoder, locator: Locator | None = None, *, gallery: bool
) -> Callable[[list[Path]], None]:
    """Decode, locate and embed: one or two passes for a query, two for a gallery photo."""

    def work(batch: list[Path]) -> None:
        photos = [decode(path.read_bytes()) for path in batch]
        embed(
            encoder,
            photos,
            locator=locator,
            gallery=gallery,
            closer=lambda at, box: near(batch[at], box),
        )

    return lambda paths: spread(work, list(batched(paths, BATCH_PHOTOS)))


def decoding_alone(paths: list[Path]) -> None:
    """The first unavoidable part: scaled decoding, on every core."""
    spread(lambda path: decode(path.read_bytes()), paths)


def forward_alone(encoder: Encoder, passes: int) -> Callable[[list[Path]], None]:
    """The second: forward passes over prepared crops, on every core."""

    def run(paths: list[Path]) -> None:
        height, width = decode(paths[0].read_bytes()).shape[:2]
        size = encoder.crop_shape.fitting(height, width)
        crops = np.zeros((BATCH_PHOTOS, *size, 3), np.uint8)

        def work(batch: list[Path]) -> None:
            for _ in range(passes):
                encoder.encode(crops[: len(batch)])

        spread(work, list(batched(paths, BATCH_PHOTOS)))

    return run


def spread(work: Callable[..., object], items: Sequence[object]) -> None:
    """Do work on every core."""
    for _ in map_in_order(work, items, workers=cores()):
        pass


def builtin_locator() -> Locator:
    """The detector of a new workspace's settings, in one thread."""
    file = configured_locator(LocateRules(), Path())
    assert file is not None
    return file.load()


Ways = dict[str, Callable[[list[Path]], None]]


def in_turns(ways: Ways, paths: list[Path]) -> dict[str, tuple[float, float]]:
    """Seconds and processor seconds of each way; the ways take turns; medians over the rounds."""
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for round_number in range(ROUNDS + 1):
        for way, run in ways.items():
            wall, processor = time.perf_counter(), time.process_time()
            run(paths)
            if round_number:  # the first round warms up
                taken[way].append((time.perf_counter() - wall, time.process_time() - processor))
    return {
        way: (statistics.median(wall for wall, _ in times), statistics.median(p for _, p in times))
        for way, times in taken.items()
    }


def gallery(paths: list[Path], encoder: Encoder) -> dict[str, float]:
    """Embedding a gallery with the built-in detector and with saliency."""
    ways: Ways = {
        "detector": shipped(encoder, builtin_locator(), gallery=True),
        "saliency": shipped(encoder, gallery=True),
    }
    times = in_turns(ways, paths)
    figures = {f"{way}, photos/s": len(paths) / wall for way, (wall, _) in times.items()}
    for way, (_, processor) in times.items():
        figures[f"{way}, processor s per photo"] = processor / len(paths)
    (wall, processor), (plain_wall, plain_processor) = times.values()
    figures["detector ÷ saliency, photos/s"] = plain_wall / wall
    figures["detector ÷ saliency, photos per processor s"] = plain_processor / processor
    return figures


def ingest(name: str, paths: list[Path], encoder: Encoder) -> dict[str, float]:
    """Photos a second of every way, the ways taking turns; medians over the rounds."""
    backbone = plain_network()
    torch.set_num_threads(cores())
    locator = builtin_locator()
    ways: Ways = {
        "plain": plain_loader(backbone, 0),
        "plain, DataLoader with a worker a core": plain_loader(backbone, cores()),
        "ships, as a query": shipped(encoder, locator, gallery=False),
        "ships, as the gallery": shipped(encoder, locator, gallery=True),
        "decoding alone": decoding_alone,
        "forward alone, 1 pass": forward_alone(encoder, 1),
        "forward alone, 2 passes": forward_alone(encoder, 2),
    }
    median = {way: len(paths) / wall for way, (wall, _) in in_turns(ways, paths).items()}

    def share_of_limit(way: str, passes: str) -> float:
        limit = 1 / (1 / median["decoding alone"] + 1 / median[passes])
        return median[way] / limit

    one, two = "ships, as a query", "ships, as the gallery"
    median["query ÷ plain"] = median[one] / median["plain"]
    median["gallery ÷ plain"] = median[two] / median["plain"]
    median["query ÷ unavoidable parts"] = share_of_limit(one, "forward alone, 1 pass")
    median["gallery ÷ unavoidable parts"] = share_of_limit(two, "forward alone, 2 passes")
    rows = [
        [way, f"{value:.2f}" if "÷" in way else f"{value:.1f}"] for way, value in median.items()
    ]
    print_table(f"Ingest: {name}, {len(paths)} photos", ["way", "photos/s or ratio"], rows)
    return median


# -- identification -----------------------------------------------------------------------------


def stranger_gallery(folder: Path, encoder: Encoder) -> Workspace:
    """A workspace of GALLERY products, with random vectors in place of embedded photos."""
    workspace = Workspace.create(folder)
    rng = np.random.default_rng(0)
    with workspace.catalogue.writing() as writer:
        photo_ids = []
        for number in range(GALLERY):
            product = writer.add_product(f"P{number:05}", {"brand": "None", "name": str(number)})
            photo_ids.append(writer.add_photo(f"{number:064x}", 1, 1, 1))
            writer.link(product, photo_ids[-1], {}, {})
    vectors = np.abs(rng.normal(size=(GALLERY, encoder.card.dimension))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    whole = vectors + rng.normal(scale=0.005, size=vectors.shape).astype(np.float32)
    colours = np.sqrt(rng.dirichlet(np.ones(COLOURS), GALLERY)).astype(np.float32)
    dimension = encoder.card.patch_dimension
    shape = (GALLERY, KEPT, dimension or 0)
    patches = rng.integers(-40, 40, shape, np.int8) if dimension else repeat(None)
    embedded = map(PhotoEmbedding, repeat(WHOLE_PHOTO), vectors, whole, colours, patches)
    space = served_space(workspace)
    workspace.catalogue.vectors.put(space.id, zip(photo_ids, embedded, strict=True))
    build_index(
        workspace.catalogue,
        space,
        workspace.index_path,
        workspace.settings.search,
    )
    return workspace


def identify_warm(workspace: Workspace, paths: list[Path]) -> dict[str, float]:
    """Milliseconds of `Identifier.identify`, one call after the other."""
    identifier = Identifier.open(workspace)
    photos = [path.read_bytes() for path in paths]
    for photo in photos[:10]:
        identifier.identify(photo)
    times_ms = []
    for photo in islice(cycle(photos), CALLS):
        started = time.perf_counter()
        identifier.identify(photo)
        times_ms.append(1_000 * (time.perf_counter() - started))
    p50, p99 = np.percentile(times_ms, (50, 99))
    return {"identify, warm, p50 ms": float(p50), "identify, warm, p99 ms": float(p99)}


def identify_cold(workspace: Workspace, photo: Path) -> dict[str, float]:
    """Seconds of a whole `satchel identify` process."""
    words = ("-m", "satchel", "--workspace", str(workspace.folder), "identify", str(photo))
    command = [sys.executable, *words]
    times_s = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times_s.append(time.perf_counter() - started)
    return {"satchel identify, cold start, s": statistics.median(times_s[1:])}


def serving(workspace: Workspace, photo: Path) -> dict[str, float]:
    """A real server under four callers at once: its answers' times and its resident memory."""
    command = [sys.executable, "-m", "satchel", "--workspace", str(workspace.folder)]
    process = subprocess.Popen(
        [*command, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "http://" in line)
        url = "http://" + line.split("http://")[1].split()[0].rstrip("/")
        request = upload(f"{url}/api/v1/identify", photo.read_bytes())
        alone = [timed(request) for _ in range(40)][5:]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: timed(request), range(CALLS)))
        return {
            "POST identify, one caller, p50 ms": statistics.median(alone),
            "serving process, peak resident MB": peak_resident_mb(process.pid),
        }
    finally:
        process.terminate()
        process.wait()


def upload(url: str, photo: bytes) -> urllib.request.Request:
    """A multipart request with one photo."""
    edge = "satchel-benchmark"
    head = (
        f'--{edge}\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + photo + f"\r\n--{edge}--\r\n".encode()
    return urllib.request.Request(
        url, body, {"Content-Type": f"multipart/form-data; boundary={edge}"}
    )


def timed(request: urllib.request.Request) -> float:
    """Milliseconds of one request."""
    started = time.perf_counter()
    with urllib.request.urlopen(request) as response:
        json.load(response)
    return 1_000 * (time.perf_counter() - started)


def peak_resident_mb(pid: int) -> float:
    """VmHWM of a process, in megabytes (10⁶ bytes)."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def import_and_index(folder: Path) -> dict[str, float]:
    """Seconds of `satchel import` and `satchel index` of the Luma catalogue, as processes."""
    satchel = [sys.executable, "-m", "satchel"]
    subprocess.run([*satchel, "init", folder], check=True, capture_output=True)
    started = time.perf_counter()
    for arguments in (["import", SHARED / "luma" / "photos.csv"], ["index"]):
        subprocess.run(
            [*satchel, "--workspace", folder, *arguments], check=True, capture_output=True
        )
    return {"import + index, 709 Luma photos, s": time.perf_counter() - started}


def measure_ingest(big: list[Path], encoder: Encoder) -> None:
    """Ingest of big and of small photos."""
    small = small_photos()
    figures = {
        "3 megapixels": ingest("3 megapixels", big, encoder),
        "288 px short side": ingest("288 px short side", small, encoder),
    }
    write_json("speed-ingest", figures)


def measure_gallery(big: list[Path], encoder: Encoder) -> None:
    """A gallery of big and of small photos."""
    sizes = {"3 megapixels": big[:16], "288 px short side": small_photos()[:16]}
    figures = {name: gallery(paths, encoder) for name, paths in sizes.items()}
    names = list(figures["3 megapixels"])
    rows = [[name, *(f"{one[name]:.3f}" for one in figures.values())] for name in names]
    print_table("Embedding a gallery", ["figure", *figures], rows)
    write_json("speed-gallery", figures)


def measure_identify(big: list[Path], encoder: Encoder, folder: Path) -> None:
    """Single answers, cold start, a server, and a whole catalogue."""
    workspace = stranger_gallery(folder / "strangers", encoder)
    figures = {
        **identify_warm(workspace, big),
        **identify_cold(workspace, big[0]),
        **serving(workspace, big[0]),
        **import_and_index(folder / "luma"),
    }
    rows = [[name, f"{value:.1f}"] for name, value in figures.items()]
    print_table(f"A gallery of {GALLERY:,}, 3-megapixel photos", ["figure", "value"], rows)
    write_json("speed-identify", figures)


def main() -> None:
    """Print the tables and write the JSON."""
    encoder = Encoder.load(threads=1)
    parts = sys.argv[1:] or ["ingest", "gallery", "identify"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "big").mkdir()
        big = big_photos(folder / "big")
        size_mb = statistics.mean(path.stat().st_size for path in big) / 1e6
        print(f"3-megapixel photos: {size_mb:.2f} MB on average")
        if "ingest" in parts:
            measure_ingest(big, encoder)
        if "gallery" in parts:
            measure_gallery(big, encoder)
        if "identify" in parts:
            measure_identify(big, encoder, folder)


if __name__ == "__main__":
    main()
