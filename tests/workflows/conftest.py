"""What several workflows start from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from conftest import put_in
from satchel.workspace import Workspace


@pytest.fixture
def unpromoted(workspace: Workspace) -> Workspace:
    """An empty workspace that never served another encoder than the built-in one."""
    shutil.rmtree(workspace.models)
    workspace.models.mkdir()
    return workspace


@pytest.fixture
def shop(workspace: Workspace, catalogue_file: Path) -> Workspace:
    """Five products with two photos each in the catalogue, not embedded."""
    put_in(workspace, catalogue_file)
    return workspace
