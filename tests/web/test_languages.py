from __future__ import annotations

import re

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from satchel.web.languages import HERE, LOCALES, accepted_language

PLACEHOLDER = re.compile(r"%\(\w+\)s")
TAG = re.compile(r"<(script|style|code|pre)\b.*?</\1>|<[^>]*>|\{[{%#].*?[}%#]\}", re.DOTALL)


def extracted() -> set[str | tuple[str, ...]]:
    methods = [("**.py", "python"), ("**.html", "jinja2.ext:babel_extract")]
    return {message for _, _, message, _, _ in extract_from_dir(HERE, method_map=methods)}


@pytest.fixture(scope="module")
def korean():
    with (LOCALES / "ko/LC_MESSAGES/satchel.po").open("rb") as file:
        return read_po(file, locale="ko")


def test_every_word_of_the_pages_has_a_korean_one(korean):
    messages = extracted()
    assert len(messages) > 70
    for message in messages:
        singular = message if isinstance(message, str) else message[0]
        found = korean.get(singular)
        assert found is not None, f"not in satchel.po: {singular}"
        said = (found.string,) if isinstance(found.string, str) else found.string
        assert all(said), f"empty in satchel.po: {singular}"
        assert not found.fuzzy


def test_korean_fills_in_the_same_values(korean):
    for message in korean:
        if message.id:
            wanted = message.id if isinstance(message.id, str) else message.id[1]
            said = message.string if isinstance(message.string, str) else message.string[0]
            assert set(PLACEHOLDER.findall(wanted)) == set(PLACEHOLDER.findall(said)), wanted


def test_no_korean_word_is_left_over(korean):
    known = {message if isinstance(message, str) else message[0] for message in extracted()}
    for message in korean:
        if message.id:
            assert (message.id if isinstance(message.id, str) else message.id[0]) in known


@pytest.mark.parametrize("template", sorted(HERE.glob("templates/*.html")), ids=lambda p: p.name)
def test_no_word_stands_in_a_template_untranslated(template):
    visible = TAG.sub(" ", template.read_text())
    words = set(re.findall(r"[A-Za-z]{2,}", visible)) - {"Satchel"}
    assert not words


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("ko", "ko"),
        ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
        ("en-US,en;q=0.9,ko;q=0.8", "en"),
        ("en;q=0.5, ko", "ko"),
        ("fr, ko;q=0.1", "ko"),
        ("fr, de", "en"),
        ("ko;q=0, en;q=0.1", "en"),
        ("ko;q=x, en;q=0.1", "en"),
        (";;;,,,q=", "en"),
        ("KO-kr", "ko"),
    ],
)
def test_accept_language(header, language):
    assert accepted_language(header) == language
