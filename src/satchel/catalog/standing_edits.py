"""What an import must know of edits: codes that changed, and what people took out.

A feed that is imported again still has the old codes, and the photos that somebody deleted. No
import overrules a person: rows of old codes go to the new ones, and what was deleted stays out
until the edit is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Engine, select

from satchel.catalog.decisions import EDIT_CHOICES, Choice
from satchel.catalog.tables import DecisionRow


@dataclass(frozen=True, slots=True)
class StandingEdits:
    """Edits in force.

    Attributes:
        renamed: old code → new code, of renamed and of merged products.
        merged: the old codes of merged products.
        deleted: code of a deleted product → decision.
        photos: (id of a product, SHA-256 of a photo deleted from it) → decision.
        purged: SHA-256 of a purged photo, or of the bytes that it was received as → decision.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    merged: frozenset[str] = frozenset()
    deleted: Mapping[str, int] = field(default_factory=dict)
    photos: Mapping[tuple[int, str], int] = field(default_factory=dict)
    purged: Mapping[str, int] = field(default_factory=dict)

    def current(self, code: str, exists: Callable[[str], bool]) -> tuple[str, bool]:
        """Follow a code that no product has to the one that its product has now.

        Returns:
            the code, and whether the product was merged on the way.
        """
        seen, merged = {code}, False
        while code in self.renamed and not exists(code):
            following = self.renamed[code]
            if following in seen:  # renamed there and back, and deleted since
                break
            seen.add(following)
            merged |= code in self.merged
            code = following
        return code, merged

    def former(self, code: str, exists: Callable[[str], bool]) -> list[str]:
        """Return a code and those that lead to it, which no other product has by now."""
        found = [code]
        for one in found:  # grows meanwhile
            olds = (old for old, new in self.renamed.items() if new == one and old not in found)
            found += [old for old in olds if not exists(old)]
        return found


def read_standing_edits(engine: Engine) -> StandingEdits:
    """Read the edits that are in force."""
    chosen = (
        select(DecisionRow.id, DecisionRow.kind, DecisionRow.about)
        .where(DecisionRow.kind.in_(EDIT_CHOICES - {Choice.EDIT}))
        .where(DecisionRow.undone_at.is_(None))
        .order_by(DecisionRow.id)
    )
    renamed: dict[str, str] = {}
    merged: set[str] = set()
    into: dict[int, int] = {}
    deleted: dict[str, int] = {}
    photos: dict[tuple[int, str], int] = {}
    purged: dict[str, int] = {}
    with engine.connect() as connection:
        rows = connection.execute(chosen).all()
    for number, kind, about in rows:
        match Choice(kind):
            case Choice.RENAME | Choice.MERGE:
                old, renamed[old] = about["codes"]
                if kind == Choice.MERGE:
                    merged.add(old)
                    into[about["product"]] = about["into"]
            case Choice.DELETE_PRODUCT:
                deleted[about["codes"][0]] = number
            case Choice.DELETE_PHOTO:
                photos |= {(about["product"], photo): number for photo in about["photos"]}
            case _:
                purged |= dict.fromkeys((*about["photos"], *about["sources"]), number)
    return StandingEdits(
        renamed,
        frozenset(merged),
        deleted,
        {(_last(product, into), photo): number for (product, photo), number in photos.items()},
        purged,
    )


def _last(product: int, into: Mapping[int, int]) -> int:
    while product in into:
        product = into[product]
    return product
