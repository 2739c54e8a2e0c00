"""Nothing is reported: the telemetry of ONNX Runtime is off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.stub_encoder import stub_model

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys
import satchel
import onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""


def test_a_session_leaves_nothing_behind(tmp_path: Path):
    """Its telemetry begins with the id of the machine, a file in the home folder."""
    home, model = tmp_path / "home", tmp_path / "stub.onnx"
    home.mkdir()
    model.write_bytes(stub_model())
    # Neither CI nor pytest shows: the library is quiet there by itself.
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", PROGRAM, str(model)]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, timeout=60)
    assert not list(home.rglob("*"))


def test_recipes_turn_it_off_before_the_library_is_loaded():
    """Their modules import the library before anything of Satchel's."""
    program = "import recipes, os, sys; print(os.environ['ORT_DISABLE_TELEMETRY'], *sys.modules)"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env=environment, check=True, timeout=60, capture_output=True, text=True
    )
    setting, *loaded = done.stdout.split()
    assert setting == "1"
    assert "onnxruntime" not in loaded
