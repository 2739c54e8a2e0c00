"""What identification proposed for a listing, as the catalogue is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from satchel.catalog.store import Catalogue
from satchel.market.listings.records import Listing
from satchel.web.links import product_link


def candidates_of(catalogue: Catalogue, listing: Listing) -> list[Mapping[str, Any]]:
    """Return what identification proposed last, the likeliest first.

    Products that were renamed or merged since have the code and names of now, once; deleted ones
    are left out.
    """
    proposed: Sequence[Mapping[str, Any]] = (listing.machine or {}).get("candidates", ())
    known = catalogue.ids_of_codes_among([one["code"] for one in proposed])
    if len(known) == len(proposed):
        return list(proposed)
    edits, found = catalogue.edits.standing(), dict[str, Mapping[str, Any]]()
    for one in proposed:
        code, _ = edits.current(one["code"], catalogue.has_product)
        if code not in found and catalogue.has_product(code):
            product = catalogue.product(code)
            now = {"code": code, "brand": product.brand, "name": product.name}
            found[code] = {**one, **now, "product": product_link(code)}
    return list(found.values())
