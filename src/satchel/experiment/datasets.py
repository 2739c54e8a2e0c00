"""Data sets of an experiment: splits of a catalogue with so many products and photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from satchel.errors import UsageError
from satchel.experiment.plan import Dataset
from satchel.experiment.settings import DatasetSize, ExperimentSettings
from satchel.train.dealing import LabelledPhoto, SplitOptions, make_split
from satchel.train.splits import Protocol, Split


@dataclass(frozen=True, slots=True)
class Datasets:
    """Splits by the name of their data set, and which of them are for which kind of model."""

    splits: dict[str, Split]
    classify: list[str]
    embed: list[str]


def make_datasets(photos: Sequence[LabelledPhoto], settings: ExperimentSettings) -> Datasets:
    """Split the photos for every data set that the settings name; equal ones are made once.

    Raises:
        UsageError: there are too few photos.
    """
    n_products = _eligible_products(photos, settings.fewest_photos)
    unassigned = [replace(photo, part=None) for photo in photos]
    splits: dict[str, Split] = {}
    name_of: dict[object, str] = {}

    def names(protocol: Protocol, sizes: Sequence[DatasetSize]) -> list[str]:
        used = []
        for size in available_sizes(sizes, n_products):
            options = _options(protocol, size, settings)
            split = make_split(photos if protocol == "closed" else unassigned, options)
            name = str(size) if protocol == "closed" else f"unseen-{size}"
            # A larger number of photos changes nothing where no product has so many.
            name = name_of.setdefault((split.train, split.val, split.test), name)
            splits.setdefault(name, _usable(split, name))
            used.append(name)
        return list(dict.fromkeys(used))

    classify, embed = names("closed", settings.classify), names("closed", settings.embed)
    embed += names("open", settings.unseen)
    if not splits:
        raise UsageError("expected at least one data set; name one with --classify or --embed")
    return Datasets(splits, classify, embed)


def available_sizes(wanted: Sequence[DatasetSize], products: int) -> tuple[DatasetSize, ...]:
    """Sizes with at most so many products, each once, in the order given."""
    sizes = (
        DatasetSize(products=min(size.products or products, products), photos=size.photos)
        for size in wanted
    )
    return tuple(dict.fromkeys(sizes))


def describe(name: str, split_name: str, split: Split) -> Dataset:
    """The record of a data set."""
    photos_per_product = split.made_by["photos_per_product"]
    return Dataset(
        name=name,
        split=split_name,
        split_hash=split.hash,
        protocol=split.protocol,
        products=len(split.products()),
        photos_per_product=None if photos_per_product is None else int(photos_per_product),
        train=len(split.train),
        val=len(split.val),
        test=len(split.test),
        test_products=len(split.products("test")),
    )


def _eligible_products(photos: Sequence[LabelledPhoto], fewest: int) -> int:
    counts = Counter(photo.code for photo in photos)
    eligible = sum(count >= fewest for count in counts.values())
    if eligible < 2:
        raise UsageError(
            f"expected at least two products with {fewest} photos or more, there are {eligible}; "
            "lower the limit with --set fewest_photos=N"
        )
    return eligible


def _options(protocol: Protocol, size: DatasetSize, settings: ExperimentSettings) -> SplitOptions:
    return SplitOptions(
        protocol=protocol,
        val=settings.val,
        test=settings.test if protocol == "closed" else settings.unseen_test,
        products=size.products,
        photos_per_product=size.photos,
        fewest_photos=settings.fewest_photos,
        seed=settings.seed,
    )


def _usable(split: Split, name: str) -> Split:
    val, test = split.answerable("val"), split.answerable("test")
    if not (val and test):
        raise UsageError(
            f"the data set {name} has {len(val)} validation and {len(test)} test photos, and needs "
            "both: products need more photos (--set fewest_photos=N)"
        )
    return split
