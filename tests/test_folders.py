from __future__ import annotations

from collections import Counter
from pathlib import Path

from satchel.folders import LINKS, say_passed_over, walk_files


def test_links_to_folders_and_system_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "M1").mkdir(parents=True)
    (photos / "M1" / "a.jpg").touch()
    (photos / "M1" / "._a.jpg").touch()
    (photos / "M1" / "round").symlink_to(photos)
    (photos / "M1" / "b.jpg").symlink_to(photos / "M1" / "a.jpg")  # a link to a file is a file
    passed_over: Counter[str] = Counter()
    found = list(walk_files(photos, passed_over=passed_over))
    assert [path.name for path in found] == ["a.jpg", "b.jpg"]
    assert passed_over == {LINKS: 1, "._*": 1}
    assert say_passed_over(passed_over) == (
        "passed over, links to folders (1), made by a NAS, Windows or macOS: ._* (1)"
    )
    assert say_passed_over(Counter({LINKS: 2})) == "passed over, links to folders (2)"
    assert say_passed_over(Counter()) == ""
