"""A search source of ours over photos on a site of ours, with garbage among what it finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from satchel.collect.queries import Query
from satchel.collect.sources import Hit, Opener, SourceContext
from support.photo_site import PhotoSite


@dataclass(frozen=True)
class Listed:
    """A photo that the source knows.

    Attributes:
        words: a query finds it if it has one of them.
        garbage: whether it shows something else.
    """

    name: str
    title: str
    words: frozenset[str]
    photo: bytes
    thumbnail: bytes
    garbage: bool = False


@dataclass
class SearchSite:
    """Finds photos by words, leaves out those with a word after a minus, `per_query` at most."""

    site: PhotoSite
    listed: Sequence[Listed]
    per_query: int
    pause_s: float = 0.0
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for one in self.listed:
            self.site.pages[f"/found/{one.name}.jpg"] = (one.photo, "image/jpeg")
            self.site.pages[f"/small/{one.name}.jpg"] = (one.thumbnail, "image/jpeg")

    def search(self, query: Query, most: int) -> Sequence[Hit]:
        self.asked.append(query.text)
        terms = query.text.casefold().split()
        without = {term[1:] for term in terms if term.startswith("-")}
        found = [
            one
            for one in self.listed
            if one.words & set(terms) and not without & set(one.title.casefold().split())
        ]
        return [
            Hit(
                f"{self.site.url}/found/{one.name}.jpg",
                f"{self.site.url}/page/{one.name}",
                one.title,
                None,
                f"{self.site.url}/small/{one.name}.jpg",
            )
            for one in found[: min(most, self.per_query)]
        ]

    def save_answer(self, folder: Path) -> Sequence[Path]:
        return []

    @property
    def fetched(self) -> Mapping[str, int]:
        """Photos in full size that were requested, and how often."""
        return {
            path.split("/")[2].removesuffix(".jpg"): count
            for path, count in self.site.requests.items()
            if path.startswith("/found/")
        }

    @property
    def opener(self) -> Opener:
        @contextmanager
        def opened(_context: SourceContext) -> Iterator[SearchSite]:
            yield self

        return opened
