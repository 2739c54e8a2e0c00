"""The check for private words."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import check_words


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(check_words, "ROOT", tmp_path)

    def check(text: str) -> list[str]:
        (tmp_path / "page.md").write_text(text, encoding="utf-8")
        return list(check_words.problems([tmp_path / "page.md"]))

    return check


def test_a_private_word_is_named_with_its_line_and_the_standard_term(checked) -> None:
    (found,) = checked("fine\nthe Tower is trained\n")
    assert found == "page.md:2: 'Tower': say image encoder"


def test_words_that_only_contain_one_are_fine(checked) -> None:
    assert checked("towering decompositions hang onto unrivalled weighted sums\n") == []


def test_a_line_may_be_allowed(checked) -> None:
    assert checked("the rivals of the race  # allow-word\n") == []


def test_files_of_others_and_generated_ones_are_not_checked() -> None:
    names = {path.relative_to(check_words.ROOT).as_posix() for path in check_words.checked_files()}
    assert {"README.md", "src/satchel/identify.py"} <= names
    assert not any(name.startswith(("docs/reference/", "benchmarks/results/")) for name in names)
