"""Identify every photo of a folder and write the answers to a CSV file.

python examples/identify_folder_to_csv.py WORKSPACE FOLDER ANSWERS.csv
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from satchel import Identifier, PhotoError

TOP = 3
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif"}


def main(workspace: Path, folder: Path, answers: Path) -> None:
    """Write one row per photo: file, verdict, the first codes with their confidence."""
    identifier = Identifier.open(workspace)
    photos = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    # utf-8-sig: Excel then reads Korean and accented names correctly.
    with answers.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        places = [f"{key}_{n}" for n in range(1, TOP + 1) for key in ("code", "confidence")]
        writer.writerow(["photo", "verdict", *places])
        for photo in photos:
            try:
                found = identifier.identify(photo.read_bytes(), top=TOP)
            except PhotoError as error:
                print(f"{photo}: {error}", file=sys.stderr)
                continue
            row = [str(photo.relative_to(folder)), found.verdict]
            for candidate in found.candidates:
                row += [candidate.product.code, f"{candidate.confidence:.4f}"]
            writer.writerow(row)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("workspace", "folder", "answers"):
        parser.add_argument(name, type=Path)
    main(**vars(parser.parse_args()))
