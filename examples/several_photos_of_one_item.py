"""Identify one item from several photos of it.

python examples/several_photos_of_one_item.py WORKSPACE PHOTO...
"""

from __future__ import annotations

import argparse
from pathlib import Path

from satchel import Identifier


def main(workspace: Path, photos: list[Path]) -> None:
    """Print the candidates of the item that all photos show."""
    identifier = Identifier.open(workspace)
    found = identifier.identify_item([photo.read_bytes() for photo in photos])
    print(f"{found.verdict}; in the catalogue: {found.in_catalogue:.0%}")
    for candidate in found.candidates:
        product = candidate.product
        print(f"{candidate.rank}  {product.code}  {candidate.confidence:.0%}  {product.name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    main(**vars(parser.parse_args()))
