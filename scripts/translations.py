"""Compile the translations, or list the texts that have none.

    python scripts/translations.py

Extracts the English texts of code and templates, adds those that are new to each .po file (with an
empty translation), drops those that are gone, and compiles the .mo files that are read at run time.
Exits with 1 where a translation is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from satchel.curate.report import STATES
from satchel.curate.summary import STAGES
from satchel.translations import LOCALES

SOURCES: Final = LOCALES.parent
METHODS: Final = [("**.py", "python"), ("**.html", "jinja2.ext:babel_extract")]
KEYWORDS: Final = {"_": None, "ngettext": (1, 2), "both": None, "translatable": None}


def template() -> Catalog:
    """Extract every text that is shown, with the file that shows it."""
    catalog = Catalog(project="satchel", charset="utf-8")
    found = extract_from_dir(SOURCES, method_map=METHODS, keywords=KEYWORDS)
    for file, _, message, _, _ in found:
        catalog.add(message, locations=[(file, 0)])
    for text in (*STAGES, *STATES):  # shown by name
        catalog.add(text, locations=[("curate/report.html", 0)])
    return catalog


def update(po: Path) -> list[str]:
    """Update one .po file and compile it; return the texts without a translation."""
    with po.open("rb") as file:
        catalog = read_po(file)
    created = catalog.creation_date
    catalog.update(template(), no_fuzzy_matching=True)
    catalog.creation_date = created  # so that an update without changes changes nothing
    catalog.obsolete.clear()
    with po.open("wb") as file:
        write_po(file, catalog, include_lineno=False, width=98, sort_output=True)
    with po.with_suffix(".mo").open("wb") as file:
        write_mo(file, catalog)
    return [
        str(message.id) for message in catalog if message.id and not all_said(message.string or "")
    ]


def all_said(string: str | Sequence[str]) -> bool:
    """Whether a translation, and each of its plural forms, has text."""
    return all((string,) if isinstance(string, str) else string)


if __name__ == "__main__":
    missing = [text for po in sorted(LOCALES.rglob("*.po")) for text in update(po)]
    for text in missing:
        print(f"no translation: {text}", file=sys.stderr)
    sys.exit(bool(missing))
