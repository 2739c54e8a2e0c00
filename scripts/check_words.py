"""Refuse private words: the field has a standard term for each of them.

    python scripts/check_words.py [FILE ...]

Prints file, line and what to say instead, and exits with 1, where a word of `WORDS` stands in
code, documentation, help texts or translations. Docs: docs/glossary.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
CHECKED: Final = (
    "src",
    "recipes",
    "benchmarks",
    "examples",
    "scripts",
    "docs",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "NOTICE",
)
SUFFIXES: Final = {".py", ".md", ".html", ".po", ".json", ".toml", ".js", ".css", ""}
SKIPPED: Final = ("benchmarks/results/", "docs/reference/", "scripts/check_words.py", "static/htmx")

WORDS: Final = {
    r"towers?": "image encoder",
    r"cut-?outs?": "foreground, foreground mask",
    r"going on with|goes on where": "resume, continue",
    r"as it came": "without training, unchanged",
    r"asked with": "queried with",
    r"hangs? on\b(?! to)": "depends on",
    r"by chance": "expected of a perfectly calibrated model, at random",
    r"looked at": "embedded, encoded, evaluated, inspected",
    r"told": "reported, given, recognised, distinguished",
    r"worsen(?:s|ed)?": "downgrade",
    r"gone on": "resumed, continued",
    r"compositions?": "synthetic photo",
    r"rivals?": "other candidates, candidate re-ranking",
    r"weigh(?:s|ed|ing)?(?! in)": "score, weight",
    r"centred_prototypes?": "prototype_centering",
    r"beside": "next to, with, ensemble member",
    r"likest": "most similar",
    r"for certain": "certain, significant",
    r"data address(?:es)?": "data URL",
    r"said under": "caption",
    r"wished": "wanted",
    r"stands? no more": "was undone",
    r"goes on if": "resumes",
    r"whoever (?:reads|composes|trains)": "a reader, a worker, training",
}
"""A regular expression, between word boundaries, of a word, and what to say instead."""

ALLOWED: Final = (
    r"allow-word",  # a line that has to say it
    r"lining skin composition",  # what materials are called in catalogues
)
"""Lines that match one of these are not checked."""


def problems(paths: list[Path]) -> Iterator[str]:
    """Yield what is wrong, as `file:line: word: what to say`."""
    patterns = [(re.compile(rf"\b(?:{word})\b", re.IGNORECASE), say) for word, say in WORDS.items()]
    allowed = re.compile("|".join(ALLOWED))
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if allowed.search(line):
                continue
            for pattern, say in patterns:
                if found := pattern.search(line):
                    yield f"{path.relative_to(ROOT)}:{number}: {found[0]!r}: say {say}"


def checked_files() -> list[Path]:
    """Return the files that are checked."""
    found: list[Path] = []
    for name in CHECKED:
        path = ROOT / name
        found += sorted(path.rglob("*")) if path.is_dir() else [path]
    return [path for path in found if is_checked(path)]


def is_checked(path: Path) -> bool:
    """Whether a file holds text of ours."""
    name = path.resolve().relative_to(ROOT).as_posix()
    return (
        path.is_file()
        and name.startswith(CHECKED)
        and path.suffix in SUFFIXES
        and not any(part in name for part in SKIPPED)
    )


def main(arguments: list[str]) -> int:
    """Check the files named, or all."""
    paths = [Path(one).resolve() for one in arguments]
    found = list(
        problems([path for path in paths if is_checked(path)] if paths else checked_files())
    )
    print("\n".join(found) or "no private words")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
