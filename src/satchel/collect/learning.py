"""What curation teaches about searching: which queries, ranks and words bring photos that stay."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from satchel.catalog.brands import Brands
from satchel.collect.queries import MAX_QUERY_CHARS, Query
from satchel.collect.records import Fate
from satchel.records import PRODUCT_FIELDS, Product
from satchel.text import folded

NO_GARBAGE: Final = frozenset(("copy", "two_codes", "beyond_best"))
"""Reasons by which a photo leaves the gallery that do not make it a wrong one."""
LEAST_SHARE: Final = 0.1
"""Share of photos that stay, below which a query or a rank is given up."""
ENOUGH: Final = 10
"""Photos from which on a share counts."""
RANKS: Final = 10
"""Ranks that are judged together."""
MOST_NEGATIVE: Final = 3
FEWEST: Final = 2
"""Titles that a word must be in to be learned."""
_WORD: Final = re.compile(r"[^\W\d_]{3,30}|[가-힣]{2,30}")


@dataclass(frozen=True, slots=True)
class Share:
    """Photos that a query, a rank or a source brought, and how many of them stayed."""

    kept: int = 0
    all: int = 0

    @property
    def likely(self) -> float:
        """Chance that the next one stays: one of two before anything is known (Laplace)."""
        return (self.kept + 1) / (self.all + 2)

    @property
    def hopeless(self) -> bool:
        """Whether enough photos say that hardly any will stay."""
        return self.all >= ENOUGH and self.kept < LEAST_SHARE * self.all


def stays(fate: Fate) -> bool:
    """Whether a photo shows its product, as far as curation can tell."""
    return fate.state == "kept" or (bool(fate.reasons) and set(fate.reasons) <= NO_GARBAGE)


@dataclass(frozen=True, slots=True)
class RoundCount:
    """One line of the seed's table.

    Attributes:
        number: 1 for the first pass.
        collected: photos that it brought, of so many products.
        garbage: kind of reason → photos that it removed; a photo may have several.
        usable: photos that stayed.
    """

    number: int
    products: int
    collected: int
    garbage: dict[str, int]
    usable: int


def count_rounds(fates: Sequence[Fate]) -> list[RoundCount]:
    """Count what each round of searches brought, and what curation left of it."""
    rounds = sorted({one.round for one in fates})
    return [_count(number, [one for one in fates if one.round == number]) for number in rounds]


def _count(number: int, fates: Sequence[Fate]) -> RoundCount:
    garbage = Counter(
        reason
        for one in fates
        if not stays(one)
        for reason in one.reasons
        if reason not in NO_GARBAGE
    )
    return RoundCount(
        number,
        len({one.code for one in fates}),
        len(fates),
        dict(garbage.most_common()),
        sum(one.state == "kept" for one in fates),
    )


class Lessons:
    """What the photos collected so far teach.

    Args:
        fates: of all photos that candidates brought.
        queries: first queries of the products, as they were made.
    """

    def __init__(self, fates: Sequence[Fate], queries: Iterable[Sequence[Query]]) -> None:
        first = {(one.code, one.text): one for of_product in queries for one in of_product}
        self._templates: dict[tuple[str, str], list[bool]] = defaultdict(list)
        self._ranks: dict[tuple[str, int], list[bool]] = defaultdict(list)
        self._good: dict[str, Counter[str]] = defaultdict(Counter)
        self._bad: dict[str, Counter[str]] = defaultdict(Counter)
        for fate in fates:
            good = stays(fate)
            words = self._good if good else self._bad
            words[fate.code].update(title_words(fate.title))
            query = _first_of(fate, first)
            if query is not None:
                self._templates[query.template, query.language].append(good)
            if fate.rank is not None:
                self._ranks[fate.source, (fate.rank - 1) // RANKS].append(good)
        self._all_good = _sum(self._good.values())
        self._all_bad = _sum(self._bad.values())

    def template(self, query: Query) -> Share:
        """Return how the photos of a query's template and language fared, at all products."""
        return _share(self._templates.get((query.template, query.language), ()))

    def rank(self, source: str, rank: int | None) -> Share:
        """Return how the photos of about this rank fared at a source."""
        return _share(self._ranks.get((source, ((rank or 1) - 1) // RANKS), ()))

    def deepest(self, source: str) -> int | None:
        """Return the rank after which a source names hardly anything that stays; None for none."""
        blocks = sorted(block for name, block in self._ranks if name == source)
        for block in blocks:
            if _share(self._ranks[source, block]).hopeless:
                return block * RANKS or None
        return None

    def negative(self, product: Product, brands: Brands) -> list[str]:
        """Return words of garbage's titles that no photo that stayed has, nor the product."""
        counts, own = self._all_bad, self._bad.get(product.code, Counter())
        words = [
            word
            for word, count in counts.items()
            if count >= FEWEST and word not in self._all_good and not _is_of(word, product, brands)
        ]
        return sorted(words, key=lambda word: (-own[word], -counts[word], word))[:MOST_NEGATIVE]

    def positive(self, product: Product) -> str | None:
        """Return a word that titles of the product's good photos have, and no garbage's."""
        bad = self._bad.get(product.code, Counter())
        known = {word for name in PRODUCT_FIELDS for word in title_words(getattr(product, name))}
        good = self._good.get(product.code, Counter())
        words = [w for w, count in good.items() if count >= FEWEST and w not in {*bad, *known}]
        return min(words, key=lambda word: (-good[word], word), default=None)

    def refine(self, queries: Sequence[Query], product: Product, brands: Brands) -> list[Query]:
        """Return better queries of a product, those of the templates that fared best first.

        Args:
            queries: its first ones.
        """
        hopeful = [one for one in queries if not self.template(one).hopeless] or list(queries)
        ordered = sorted(hopeful, key=lambda one: -self.template(one).likely)
        minus = "".join(f" -{word}" for word in self.negative(product, brands))
        word = self.positive(product)
        refined = dict[str, Query]()
        for one in ordered:
            texts = [one.text, f"{one.text}{minus}"]
            texts += [f"{one.text} {word}", f"{one.text} {word}{minus}"] if word else []
            for text in texts:
                if len(text) <= MAX_QUERY_CHARS:
                    refined.setdefault(text, Query(one.code, text, one.template, one.language))
        return list(refined.values())


def title_words(title: str | None) -> set[str]:
    """Return the words of a title that may mean something."""
    return set(_WORD.findall(folded(title or "")))


def _is_of(word: str, product: Product, brands: Brands) -> bool:
    """Whether a word is one of the product's own, in some spelling."""
    texts = [getattr(product, name) or "" for name in PRODUCT_FIELDS]
    names = brands.written(product.brand) if product.brand else ()
    return word in {own for text in (product.code, *texts, *names) for own in title_words(text)}


def _first_of(fate: Fate, first: Mapping[tuple[str, str], Query]) -> Query | None:
    """Return the first query that a query is, or was refined from."""
    text = fate.query or ""
    while text:
        if (fate.code, text) in first:
            return first[fate.code, text]
        text = text.rpartition(" ")[0]
    return None


def _sum(counters: Iterable[Counter[str]]) -> Counter[str]:
    total = Counter[str]()
    for one in counters:
        total.update(one)
    return total


def _share(results: Sequence[bool]) -> Share:
    return Share(sum(results), len(results))
