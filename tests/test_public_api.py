"""What `import satchel` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import satchel


def test_every_public_name_is_there() -> None:
    for name in satchel.__all__:
        assert getattr(satchel, name) is not None


def test_other_names_are_errors() -> None:
    with pytest.raises(AttributeError, match="'satchel' has no attribute 'identify_all'"):
        satchel.identify_all  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    probe = "import sys, satchel; print({'numpy', 'onnxruntime', 'pydantic'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", probe], text=True).strip() == "set()"
