from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from satchel.translations import LOCALES, number, percent, translations
from scripts.translations import template

PLACEHOLDER = re.compile(r"%\(\w+\)s")
FORMAL = re.compile(r"니다|십시오|니까")


@pytest.fixture(scope="module")
def korean() -> Catalog:
    with (LOCALES / "ko/LC_MESSAGES/satchel.po").open("rb") as file:
        return read_po(file, locale="ko")


def forms(said: str | Sequence[str] | None) -> tuple[str, ...]:
    return (said or "",) if said is None or isinstance(said, str) else tuple(said)


def messages(catalog: Catalog) -> list[Message]:
    return [message for message in catalog if message.id]


def test_every_text_has_a_translation_and_no_other_is_left_over(korean: Catalog) -> None:
    shown = {forms(message.id)[0] for message in messages(template())}
    assert len(shown) > 150
    assert {forms(message.id)[0] for message in messages(korean)} == shown
    for message in messages(korean):
        assert all(forms(message.string)), f"no translation: {message.id}"
        assert not message.fuzzy


def test_translations_fill_in_the_same_values(korean: Catalog) -> None:
    for message in messages(korean):
        for said in forms(message.string):
            assert set(PLACEHOLDER.findall(forms(message.id)[-1])) == set(PLACEHOLDER.findall(said))


def test_korean_keeps_to_one_level_of_politeness(korean: Catalog) -> None:
    for message in messages(korean):
        assert not any(FORMAL.search(said) for said in forms(message.string)), message.id


def test_what_is_compiled_is_what_was_translated(korean: Catalog) -> None:
    """Else: python scripts/translations.py."""
    compiled = translations("ko")
    for message in messages(korean):
        if isinstance(message.id, str):
            assert compiled.gettext(message.id) == message.string
        else:
            one, many = message.id
            assert compiled.ngettext(one, many, 2) == forms(message.string)[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (1_234_567, "1,234,567"),
        (10, "10"),
        (0.5, "0.5"),
        (0.1235, "0.123"),
        (1000.25, "1,000.25"),
        (40.0, "40"),
        (-3.5, "-3.5"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "< 1%"), (0.004, "< 1%"), (0.01, "1%"), (0.834, "83%"), (0.996, "99%"), (1, "99%")],
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text
