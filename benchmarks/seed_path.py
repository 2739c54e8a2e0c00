"""From codes to answers with the built-in encoder: what cleaning and the refill are worth.

    python -m benchmarks.seed_path [--codes 81]

A search source on this machine names photos of Grocery's classes, of which 30 % are wrong: other
products, street photos, screenshots and tight crops (`benchmarks.garbage`). A query is answered
with `PER_QUERY` photos at most. Half of the wrong photos have titles that say so; those of other
products never do. Then come the commands of docs/guide/from-codes.md: collect, curate, refill,
curate, the best ten, index. After each pass Grocery's val photos are identified, as users identify.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from sqlalchemy import select

from benchmarks.datasets import _grocery
from benchmarks.garbage import GalleryPhoto, grocery
from benchmarks.pictures import rgb
from benchmarks.reporting import print_table, write_json
from satchel.catalog.tables import ProductPhotoRow, ProductRow
from satchel.collect import sources
from satchel.identify import Identifier
from satchel.images import decode, encode_jpeg
from satchel.workspace import Workspace

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from support.cli import satchel
from support.photo_site import photo_site
from support.search_site import Listed, SearchSite

PER_QUERY = 14
WANTED = 10
THUMBNAIL_PX = 120
SETTINGS = """[collect]
contact = "benchmark@example.com"
delay_s = 0
per_host = 8
min_free_mb = 0
queries = ["{code}"]
languages = ["en"]
[fetch]
networks = ["127.0.0.1"]
"""
TITLES = {"street": "people street", "screenshot": "offer page", "crop": "detail"}
"""Kind of a wrong photo → what half of their titles say."""


def listed(photos: tuple[GalleryPhoto, ...], seed: int = 0) -> list[Listed]:
    """The photos that the source knows, in the order in which it names them."""
    rng = np.random.default_rng(seed)
    found = []
    for number, at in enumerate(rng.permutation(len(photos))):
        one = photos[at]
        pixels = decode(one.path.read_bytes(), min_side_px=None)
        scale = THUMBNAIL_PX / max(pixels.shape[:2])
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        said = TITLES.get(one.kind, "") if rng.random() < 0.5 else ""
        found.append(
            Listed(
                f"p{number}",
                f"{one.code} {said}".strip(),
                frozenset((f"g{one.code}",)),
                encode_jpeg(pixels, 92),
                encode_jpeg(rgb(small), 80),
                one.wrong,
            )
        )
    return found


def kept(folder: Path, *states: str) -> Counter[tuple[str, str]]:
    """(code, name at the source) of the photos in these states."""
    chosen = (
        select(ProductRow.code, ProductPhotoRow.source)
        .join(ProductPhotoRow, ProductPhotoRow.product_id == ProductRow.id)
        .where(ProductPhotoRow.state.in_(states))
    )
    with Workspace.open(folder).catalogue.engine.connect() as connection:
        rows = connection.execute(chosen).all()
    return Counter((code, str(source).rpartition("/")[2]) for code, source in rows)


def run(folder: Path, *words: str) -> None:
    """Run a command; those that leave products short exit with 1."""
    done = satchel(folder, *words)
    if done.returncode not in (0, 1):
        raise SystemExit(f"satchel {' '.join(words)}: {done.stderr}")


def measured(
    stage: str, folder: Path, site: SearchSite, asked: list[tuple[str, bytes]]
) -> dict[str, Any]:
    """Index, and identify the queries: shares of right answers at ranks 1 and 5."""
    run(folder, "index")
    identifier = Identifier.open(Workspace.open(folder))

    def rank(query: tuple[str, bytes]) -> int:
        codes = [one.product.code for one in identifier.identify(query[1]).candidates]
        return codes.index(query[0]) if query[0] in codes else len(codes)

    with ThreadPoolExecutor(2) as pool:
        ranks = np.array(list(pool.map(rank, asked)))
    garbage = {one.name for one in site.listed if one.garbage}
    names = [name for _, name in kept(folder, "kept")]
    per_code = Counter(code for code, _ in kept(folder, "kept"))
    return {
        "stage": stage,
        "searched_photos": len(names),
        "wrong_share": sum(name in garbage for name in names) / max(1, len(names)),
        "codes_with_wanted": sum(count >= WANTED for count in per_code.values()),
        "top1": float((ranks == 0).mean()),
        "top5": float((ranks < 5).mean()),
        "fetched": sum(site.fetched.values()),
    }


def main() -> None:
    """Run the path and print what each stage is worth."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--codes", type=int, default=81)
    most = arguments.parse_args().codes
    with TemporaryDirectory() as temporary, photo_site() as web:
        folder, began = Path(temporary) / "shop", time.perf_counter()
        photos = grocery(Path(temporary)).photos
        codes = sorted({one.code for one in photos}, key=int)[:most]
        site = SearchSite(web, listed(tuple(p for p in photos if p.code in codes)), PER_QUERY)
        sources.SOURCES["site"] = site.opener
        queries = [
            (f"G{one.code}", one.path.read_bytes()) for one in _grocery("val") if one.code in codes
        ]
        run(folder, "init", str(folder))
        (folder / "satchel.toml").write_text(SETTINGS)
        table = Path(temporary) / "codes.csv"
        table.write_text("code\n" + "".join(f"G{code}\n" for code in codes))

        run(folder, "collect", "--source", "site", "--codes", str(table))
        stages = [measured("first pass", folder, site, queries)]
        run(folder, "curate")
        stages.append(measured("cleaned", folder, site, queries))
        run(folder, "collect", "--refill", str(WANTED))
        run(folder, "curate", "--best", str(WANTED))
        stages.append(measured("refilled, best ten", folder, site, queries))
        seconds = time.perf_counter() - began
    print_table(
        f"{len(codes)} codes, {len(queries)} queries, {seconds:.0f} s",
        ("after", "searched", "wrong", f"codes with {WANTED}", "fetched", "top-1", "top-5"),
        [
            (
                one["stage"],
                one["searched_photos"],
                f"{one['wrong_share']:.1%}",
                one["codes_with_wanted"],
                one["fetched"],
                f"{one['top1']:.1%}",
                f"{one['top5']:.1%}",
            )
            for one in stages
        ],
    )
    figures = {"codes": len(codes), "queries": len(queries), "seconds": seconds, "stages": stages}
    write_json("seed_path", figures)


if __name__ == "__main__":
    main()
