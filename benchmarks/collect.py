"""Photos a second that `satchel collect` fetches, verifies and stores, next to img2dataset.

    python -m benchmarks.collect [--photos 1000] [--peer PYTHON]

A server on this machine has the photos in memory; both get the same list in one run, with no
delay between requests and 16 at once. `--peer` is the Python of an environment with img2dataset
(`pip install img2dataset`), which needs packages that conflict with ours. img2dataset writes what
it received to files, without decoding it (`--disable_all_reencoding`): no product, no check of
addresses, no row for each URL. Satchel decodes each photo in a worker process, strips its
metadata, syncs it to the disk and writes rows.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np

from benchmarks.reporting import print_table, write_json
from satchel.images import encode_jpeg
from satchel.workflows.collect import report
from satchel.workspace import Workspace

SIZE_WH = (1_000, 800)
PER_PRODUCT = 20
AT_ONCE = 16
SETTINGS = f"""[collect]
contact = "benchmark@example.com"
delay_s = 0
per_host = {AT_ONCE}
[fetch]
networks = ["127.0.0.1"]
"""


def photo(seed: int) -> bytes:
    """A photo like those of shops in size: soft colours with some grain."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (20, 25, 3), np.uint8)
    grain = rng.normal(0, 3, (SIZE_WH[1], SIZE_WH[0], 1))
    pixels = cv2.resize(coarse, SIZE_WH, interpolation=cv2.INTER_CUBIC) + grain
    return encode_jpeg(np.clip(pixels, 0, 255).astype(np.uint8), 85)


def serve(photos: int, ready: Connection) -> None:
    """Serve photos until killed; the port is sent when all are made."""
    made = [photo(number) for number in range(photos)]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2].removesuffix(".jpg")
            found = name.isdecimal()
            body = made[int(name)] if found else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.request_queue_size = 64
    ready.send((server.server_port, sum(map(len, made)) / photos))
    server.serve_forever()


def satchel(folder: Path, urls: list[str]) -> tuple[float, int]:
    """Collect a list into a new workspace; seconds, and photos there are in the end."""
    workspace = Workspace.create(folder)
    (folder / "satchel.toml").write_text(SETTINGS)
    path = folder / "list.csv"
    with path.open("w", newline="") as file:
        rows = [(f"M{place // PER_PRODUCT}", url) for place, url in enumerate(urls)]
        csv.writer(file).writerows([("code", "url"), *rows])
    began = time.perf_counter()
    command = (sys.executable, "-m", "satchel", "--workspace", str(folder), "collect", str(path))
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began, sum(host.new for host in report(workspace).hosts)


def img2dataset(python: Path, folder: Path, urls: list[str]) -> tuple[float, int]:
    """Fetch a list by img2dataset; seconds, and files there are in the end."""
    path = folder.with_suffix(".txt")
    path.write_text("\n".join(urls) + "\n")
    began = time.perf_counter()
    options = (
        f"--url_list={path}",
        f"--output_folder={folder}",
        "--output_format=files",
        "--disable_all_reencoding=True",
        "--processes_count=2",
        f"--thread_count={AT_ONCE // 2}",
        f"--number_sample_per_shard={max(1, len(urls) // 4)}",
        "--enable_wandb=False",
    )
    subprocess.run((python.with_name("img2dataset"), *options), check=True, capture_output=True)
    return time.perf_counter() - began, len(list(folder.glob("*/*.jpg")))


def processor_s() -> float:
    """Processor time of all programs that were run so far, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, print a table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=1_000)
    parser.add_argument("--peer", type=Path, help="Python of an environment with img2dataset")
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(options.photos, theirs), daemon=True)
    server.start()
    port, size = ours.recv()
    urls = [f"http://127.0.0.1:{port}/{number}.jpg" for number in range(options.photos)]
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        runs = {"satchel collect": lambda: satchel(Path(folder, "workspace"), urls)}
        if options.peer:
            runs["img2dataset"] = lambda: img2dataset(options.peer, Path(folder, "peer"), urls)
        for name, run in runs.items():
            before = processor_s()
            seconds, photos = run()
            busy = processor_s() - before
            assert photos == options.photos, (name, photos)
            figures.append(
                {
                    "by": name,
                    "seconds": seconds,
                    "photos_per_s": photos / seconds,
                    "processor_ms_per_photo": 1e3 * busy / photos,
                }
            )
    server.kill()
    print_table(
        f"{options.photos:,} photos of {size / 1e3:.0f} kB",
        ("by", "seconds", "photos/s", "processor ms/photo"),
        [
            (
                one["by"],
                f"{one['seconds']:.1f}",
                f"{one['photos_per_s']:.1f}",
                f"{one['processor_ms_per_photo']:.1f}",
            )
            for one in figures
        ],
    )
    write_json("collect", {"photos": options.photos, "bytes": size, "runs": figures})


if __name__ == "__main__":
    main()
