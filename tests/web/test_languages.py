from __future__ import annotations

import re

import pytest

from satchel.web.languages import HERE, accepted_language

TAG = re.compile(
    r"data-[a-z-]+=|<(script|style|code|pre)\b.*?</\1>|<[^>]*>|\{[{%#].*?[}%#]\}", re.DOTALL
)


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
