"""The base install alone, in a fresh virtual environment, imports and identifies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIMIT_MB = 600
HEAVY = ("torch", "torchvision", "timm", "onnx", "selenium", "pytest")


@pytest.mark.flow
def test_base_install_imports_and_identifies(tmp_path: Path) -> None:
    def run(*command: object) -> str:
        done = subprocess.run(
            [*map(str, command)], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python, satchel = tmp_path / "venv/bin/python", tmp_path / "venv/bin/satchel"
    run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", ROOT)
    probe = f"import importlib.util as u; print([m for m in {HEAVY} if u.find_spec(m)])"
    assert run(python, "-c", probe).strip() == "[]"
    files = (path for path in (tmp_path / "venv").rglob("*") if not path.is_symlink())
    assert sum(path.stat().st_size for path in files) <= LIMIT_MB * 1_000_000
    run(
        python,
        "-c",
        "import satchel.cli, satchel.identify, satchel.web.server; satchel.Identifier",
    )

    maison = ROOT / "examples" / "maison"
    workspace = ("--workspace", tmp_path / "shop")
    run(satchel, "init", tmp_path / "shop")
    run(satchel, *workspace, "import", maison / "catalogue.csv")
    run(satchel, *workspace, "index")
    answer = json.loads(
        run(satchel, *workspace, "identify", "--json", maison / "queries" / "IMG_2041.jpg")
    )
    assert answer["candidates"][0]["code"] == "MO1102"
