"""Curation from end to end, on real workspaces with photos whose truth is known."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import SHAPES, draw, fill, jpeg, put_in
from satchel.catalog.decisions import Choice
from satchel.catalog.review import DECIDED
from satchel.curate.copies import compared_pairs, pairs_to_compare
from satchel.curate.decide import BEYOND_BEST, CONFLICT, COPY, LAST_PHOTO
from satchel.curate.garbage import State
from satchel.curate.report import STATES
from satchel.curate.rules import BEST_N, CurationRules, DuplicateThresholds, GarbageRules
from satchel.curate.summary import CurationSummary, Example, StageCount, Unfindable
from satchel.encode.embedder import Embedder, EmbeddingSpace
from satchel.encode.encoder import Encoder
from satchel.images import decode, encode_jpeg
from satchel.search.indexing import build_index
from satchel.workflows.curate import curate_catalogue, decide_all
from satchel.workspace import Workspace
from support.cli import satchel


def rules(best: int = BEST_N) -> CurationRules:
    """Rules without outlier scores, whose weights are fitted to the built-in encoder."""
    return CurationRules(best=best, garbage=GarbageRules(doubtful_at=1e9, dropped_at=1e9))


def curate(workspace: Workspace, encoder: Encoder, chosen: CurationRules) -> CurationSummary:
    result = curate_catalogue(workspace, chosen, embedder=Embedder(encoder))
    assert result.problems == ()
    return result.summary


def states(workspace: Workspace, encoder: Encoder) -> dict[str, tuple[str, set[str]]]:
    """State and kinds of reasons of every photo of a product, by code and SHA-256."""
    from sqlalchemy import create_engine, text

    engine = create_engine(f"sqlite:///{workspace.folder / 'satchel.db'}")
    query = (
        "SELECT code, sha256, state, reasons FROM product_photos "
        "JOIN products ON products.id = product_id JOIN photos ON photos.id = photo_id"
    )
    import json

    with engine.connect() as connection:
        found = {
            f"{row.code}/{row.sha256}": (row.state, {r["kind"] for r in json.loads(row.reasons)})
            for row in connection.execute(text(query))
        }
    engine.dispose()
    return found


def textured(seed: int) -> np.ndarray:
    """A picture with enough corners for geometry to hold on to."""
    rng = np.random.default_rng(seed)
    # Uneven ground: on an even one, these would be several objects.
    coarse = rng.integers(120, 240, (9, 12, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (480, 360), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        x, y = int(rng.integers(40, 440)), int(rng.integers(40, 320))
        size, colour = int(rng.integers(8, 40)), tuple(int(c) for c in rng.integers(0, 255, 3))
        cv2.rectangle(picture, (x, y), (x + size, y + size // 2), colour, -1)
    return picture


@pytest.fixture
def messy(workspace: Workspace, encoder: Encoder, tmp_path: Path) -> Workspace:
    """Product A: a photo, a smaller recompressed copy and another; the copy under B as well."""
    picture, other = textured(1), textured(2)
    small = cv2.resize(picture, (384, 288), interpolation=cv2.INTER_AREA)
    files = {
        "A/original.jpg": encode_jpeg(picture, 95),
        "A/copy.jpg": encode_jpeg(small.astype(np.uint8), 60),
        "A/other.jpg": encode_jpeg(other, 95),
        "B/stolen.jpg": encode_jpeg(picture, 70),
        "B/own.jpg": encode_jpeg(textured(3), 95),
    }
    for name, data in files.items():
        path = tmp_path / "messy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    fill(workspace, tmp_path / "messy", encoder)
    return workspace


def sha_of(workspace: Workspace, code: str, size: tuple[int, int], rank: int = 0) -> str:
    """A product's photo of this size; `rank` tells several apart by the order of import."""
    of_size = [p for p in workspace.catalogue.photos_of(code) if (p.width, p.height) == size]
    return f"{code}/{of_size[rank].sha256}"


def test_copies_conflicts_and_the_rest(messy: Workspace, encoder: Encoder) -> None:
    summary = curate(messy, encoder, rules())
    found = states(messy, encoder)
    assert found[sha_of(messy, "A", (384, 288))] == ("dropped", {COPY})
    originals = [found[sha_of(messy, "A", (480, 360), rank)] for rank in (0, 1)]
    assert sorted(CONFLICT in kinds for _, kinds in originals) == [False, True]
    assert [state for state, kinds in originals if CONFLICT in kinds] == ["doubtful"]
    assert any(CONFLICT in kinds for key, (_, kinds) in found.items() if key.startswith("B/"))
    assert summary.reasons[COPY] == 1
    assert summary.reasons[CONFLICT] == 2
    assert sum(summary.photos.values()) == 5
    assert set(summary.short) == {"A", "B"}
    assert [(row.products, row.photos) for row in summary.stages] == [
        (2, 5),
        (2, 2),  # without the copy, and without what stands under two codes
        (2, 2),
        (2, 2),
        (2, 2),
    ]


def test_dropped_photos_leave_the_index_and_nothing_is_deleted(
    messy: Workspace, encoder: Encoder
) -> None:
    curate(messy, encoder, rules())
    index = build_index(
        messy.catalogue, EmbeddingSpace(encoder.card), messy.index_path, messy.settings.search
    )
    # A's other photo and B's own are kept; what stands under both codes is doubtful.
    assert len(index) == 2 == sum(s == "kept" for s, _ in states(messy, encoder).values())
    assert len(messy.catalogue.photos_of("A")) == 3
    for photo in messy.catalogue.photos_of("A"):
        assert len(decode(messy.photos.read(photo.sha256)))


def test_report_and_index_agree_on_what_doubtful_photos_do(
    messy: Workspace, encoder: Encoder
) -> None:
    """The report says: searched where its product has no kept photo."""
    result = curate_catalogue(messy, rules(), embedder=Embedder(encoder))
    assert STATES["doubtful"].endswith("; searched where its product has no kept photo")
    assert STATES["dropped"] == "out of the gallery"
    assert STATES["doubtful"].partition(";")[2] in result.page.read_text(encoding="utf-8")
    review = messy.catalogue.review
    own = {code: [photo.link_id for photo in review.of_product(code)] for code in ("A", "B")}
    for of_a, of_b in (("ddd", "kd"), ("kkd", "dd"), ("xdk", "xd"), ("xxd", "kk"), ("dxx", "xx")):
        named = {"k": "kept", "d": "doubtful", "x": "dropped"}
        given = {
            link: named[letter]
            for links, letters in ((own["A"], of_a), (own["B"], of_b))
            for link, letter in zip(links, letters, strict=True)
        }
        messy.catalogue.curation.set_states((link, state, []) for link, state in given.items())
        index = build_index(
            messy.catalogue, EmbeddingSpace(encoder.card), messy.index_path, messy.settings.search
        )
        expected = [
            photo.sha256
            for code in ("A", "B")
            for photo in review.of_product(code)
            if photo.state == "kept"
            or (photo.state == "doubtful" and "kept" not in {given[one] for one in own[code]})
        ]
        assert sorted(bytes(row).hex() for row in index.gallery.photos) == sorted(expected)


def test_a_second_run_works_on_nothing_and_changes_nothing(
    messy: Workspace, encoder: Encoder
) -> None:
    curate(messy, encoder, rules())
    before, revision = states(messy, encoder), messy.catalogue.revision()
    curation = messy.catalogue.curation
    photos = curation.gallery_photos(encoder.id, encoder.card.dimension)
    assert curation.count_unmeasured() == 0
    assert pairs_to_compare(photos, DuplicateThresholds(), compared_pairs(curation)) == []
    assert curate(messy, encoder, rules()).changed == 0
    assert (states(messy, encoder), messy.catalogue.revision()) == (before, revision)


def test_the_best_few_are_kept_and_other_rules_bring_the_others_back(
    workspace: Workspace, encoder: Encoder, tmp_path: Path
) -> None:
    for seed in range(6):
        path = tmp_path / "many" / "A" / f"{seed}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(textured(seed), 90))
    fill(workspace, tmp_path / "many", encoder)
    few = curate(workspace, encoder, rules(best=2))
    assert few.reasons.get(BEYOND_BEST) == few.photos["dropped"]
    assert few.photos["kept"] == 2
    all_of_them = curate(workspace, encoder, rules(best=10))
    assert BEYOND_BEST not in all_of_them.reasons
    assert all_of_them.photos["dropped"] == 0


def test_new_photos_alone_are_worked_on(messy: Workspace, encoder: Encoder, tmp_path: Path) -> None:
    curate(messy, encoder, rules())
    path = tmp_path / "later" / "A" / "new.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_jpeg(textured(9), 95))
    fill(messy, tmp_path / "later", encoder)
    curation = messy.catalogue.curation
    assert curation.count_unmeasured() == 1
    curate(messy, encoder, rules())
    assert curation.count_unmeasured() == 0


@pytest.mark.flow
def test_the_command_goes_on_after_a_kill(workspace: Workspace, tmp_path: Path) -> None:
    for number, shape in enumerate(SHAPES):
        for seed in range(16):
            path = tmp_path / "many" / f"M{number}" / f"{seed}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(shape, seed, (240 + seed, 200)))
    put_in(workspace, tmp_path / "many")
    command = [sys.executable, "-m", "satchel", "--workspace", str(workspace.folder)]
    curation = workspace.catalogue.curation
    process = subprocess.Popen([*command, "curate"], stderr=subprocess.DEVNULL)
    while curation.count_unmeasured() == 80:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list((workspace.folder / "runs").glob("curate-*"))  # it had not ended
    done = subprocess.run([*command, "curate"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert curation.count_unmeasured() == 0
    assert sum(map(workspace.catalogue.review.count, State)) == 80
    (report,) = (workspace.folder / "runs").glob("curate-*.json")
    assert str(report) in done.stderr
    page = report.with_suffix(".html").read_text(encoding="utf-8")
    assert "사진 정리 보고서" in page
    assert "src=" not in page.replace('src="data:image/jpeg;base64,', "")  # nothing from elsewhere


def test_products_that_cannot_be_found_are_named(workspace: Workspace, tmp_path: Path) -> None:
    """A page of text is a product's only photo; others were left out by hand, or lost."""
    page = np.full((480, 640, 3), 255, np.uint8)
    for y in range(40, 480, 24):
        line = "leather shoulder bag with adjustable strap, as new"
        cv2.putText(page, line, (14, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1)
    tiny = cv2.resize(textured(5), (64, 48))
    photos = {"TEXT": page, "TINY": tiny, "BYHAND": textured(6), "LOST": textured(7)}
    for code, pixels in photos.items():
        (tmp_path / "few" / code).mkdir(parents=True)
        (tmp_path / "few" / code / "0.jpg").write_bytes(encode_jpeg(pixels, 95))
    put_in(workspace, tmp_path / "few")
    review = workspace.catalogue.review
    review.decide(Choice.DROP, [review.of_product("BYHAND")[0].link_id])
    lost = workspace.catalogue.photos_of("LOST")[0].sha256
    workspace.photos.path(lost).unlink()
    with workspace.catalogue.writing() as writer:
        writer.add_product("EMPTY", {})
    done = satchel(workspace.folder, "curate")
    assert done.returncode == 1  # the lost photo
    told = [line for line in done.stderr.splitlines() if "cannot be found" in line]
    assert told == [
        "BYHAND cannot be found: people left out all of its photos",
        "EMPTY cannot be found: it has no photo",
        "LOST cannot be found: those of its photos that are not left out cannot be read",
    ]
    assert "Traceback" not in done.stderr
    (report,) = (workspace.folder / "runs").glob("curate-*.json")
    unfindable = json.loads(report.read_text())["unfindable"]
    assert unfindable == {"BYHAND": "dropped_by_people", "EMPTY": "no_photo", "LOST": "unreadable"}
    for code in ("TEXT", "TINY"):
        (photo,) = review.of_product(code)
        assert photo.state == "doubtful"
        assert photo.reasons[-1]["kind"] == LAST_PHOTO
    photo_of_text = str(tmp_path / "few/TEXT/0.jpg")
    answer = json.loads(satchel(workspace.folder, "identify", "--json", photo_of_text).stdout)
    assert answer["candidates"][0]["code"] == "TEXT"


def test_nothing_to_curate_says_so(workspace: Workspace) -> None:
    done = satchel(workspace.folder, "curate")
    assert (done.returncode, "satchel import" in done.stderr) == (1, True)


def test_photos_of_the_conftest_are_distinguished(encoder: Encoder) -> None:
    """The drawings of different shapes are not taken for copies of each other."""
    from satchel.curate.geometry import compare, describe

    drawn = [describe(draw(shape, 1)) for shape in SHAPES]
    for a, b in combinations(drawn, 2):
        assert not compare(a, b).same(DuplicateThresholds())


def test_every_reason_is_explained_in_the_report_and_codes_are_escaped(tmp_path: Path) -> None:
    from satchel.catalog.photos import PhotoStore
    from satchel.curate.content import Shown
    from satchel.curate.garbage import Reason
    from satchel.curate.integrity import Fault
    from satchel.curate.report import MEANINGS, render_report

    kinds = {COPY, CONFLICT, BEYOND_BEST, LAST_PHOTO, DECIDED, *Reason, *Fault, *Shown}
    assert set(MEANINGS) == kinds
    store = PhotoStore(tmp_path)
    name = store.put(jpeg("disc"))
    code = "<script>alert(1)</script>"
    summary = CurationSummary(
        photos={"kept": 1, "doubtful": 1, "dropped": 0},
        reasons={"blurred": 1},
        examples={"blurred": [Example(code, name, codes=(code,)), Example("GONE", "0" * 64)]},
        stages=[StageCount("all photos, as imported", 1, 1, (1, 1, 1))],
        short={code: 1},
        changed=1,
        unfindable={code: Unfindable.BY_PEOPLE},
    )
    page = render_report(summary, store)
    assert "<script>alert" not in page
    assert "사람이 모든 사진을 제외함" in page
    assert page.count("data:image/jpeg") == 1
    assert '<span lang="en">Not sharp</span><span lang="ko">흐린 사진</span>' in page


def test_examples_are_of_many_products_and_not_the_same_for_every_reason() -> None:
    from satchel.curate.summary import EXAMPLES, _varied

    def photos(code: str, count: int) -> list[Example]:
        return [Example(code, f"{code}{at}") for at in range(count)]

    common = [*photos("A", 40), *photos("B", 40), *photos("C", 1)]
    chosen = _varied({"rare": photos("A", 3), "common": common})
    assert list(chosen) == ["common", "rare"]
    assert chosen["rare"] == photos("A", 3)
    assert sorted(one.code for one in chosen["common"]) == ["A", "A", "B", "B", "C"]
    assert len(chosen["common"]) == EXAMPLES
    first_of_a = next(one for one in chosen["common"] if one.code == "A")
    assert first_of_a not in chosen["rare"]


def link(workspace: Workspace, key: str) -> int:
    """The link id of a photo, by "code/SHA-256"."""
    code, sha256 = key.split("/")
    (found,) = [
        photo.link_id
        for photo in workspace.catalogue.review.of_product(code)
        if photo.sha256 == sha256
    ]
    return found


def test_no_run_overrules_a_person(messy: Workspace, encoder: Encoder) -> None:
    curate(messy, encoder, rules())
    review = messy.catalogue.review
    copy = sha_of(messy, "A", (384, 288))
    (stolen,) = [
        key
        for key, (_, kinds) in states(messy, encoder).items()
        if key.startswith("B/") and CONFLICT in kinds
    ]
    review.decide(Choice.KEEP, [link(messy, copy)])
    dropped = review.decide(Choice.DROP, [link(messy, stolen)])
    curate(messy, encoder, rules())
    found = states(messy, encoder)
    assert found[copy] == ("kept", {DECIDED})
    assert found[stolen] == ("dropped", {DECIDED})
    # The larger one now is the copy, of the one that a person kept; and nothing conflicts.
    originals = [found[sha_of(messy, "A", (480, 360), rank)] for rank in (0, 1)]
    assert ("dropped", {COPY}) in originals
    assert not any(CONFLICT in kinds for _, kinds in found.values())
    review.undo(dropped.id)
    curate(messy, encoder, rules())
    found = states(messy, encoder)
    assert found[stolen] == ("doubtful", {CONFLICT})
    assert found[copy] == ("kept", {DECIDED})


def test_what_a_person_kept_is_among_the_best(
    workspace: Workspace, encoder: Encoder, tmp_path: Path
) -> None:
    for seed in range(6):
        path = tmp_path / "many" / "A" / f"{seed}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(textured(seed), 90))
    fill(workspace, tmp_path / "many", encoder)
    curate(workspace, encoder, rules(best=2))
    review = workspace.catalogue.review
    out = [photo for photo in review.of_product("A") if photo.state == "dropped"]
    review.decide(Choice.KEEP, [out[0].link_id, out[1].link_id])
    summary = curate(workspace, encoder, rules(best=2))
    assert summary.photos["kept"] == 2
    assert {p.link_id for p in review.of_product("A", state="kept")} == {
        out[0].link_id,
        out[1].link_id,
    }


def test_a_decision_made_while_a_run_decides_stands(messy: Workspace, encoder: Encoder) -> None:
    curate(messy, encoder, rules())
    curation, review = messy.catalogue.curation, messy.catalogue.review
    photos = curation.gallery_photos(encoder.id, encoder.card.dimension)
    kept = review.in_state("kept")[0]
    review.decide(Choice.DROP, [kept.link_id])
    decide_all(curation, photos, rules())  # of what was read before the decision
    assert review.photo(kept.link_id).state == "dropped"
