"""What several workflows start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from satchel.catalog.importers import open_rows
from satchel.catalog.ingest import import_rows
from satchel.workspace import Workspace


@pytest.fixture
def shop(workspace: Workspace, catalogue_file: Path) -> Workspace:
    """Five products with two photos each in the catalogue, not embedded."""
    import_rows(
        open_rows(catalogue_file).rows(),
        workspace.catalogue,
        workspace.photos,
        limits=workspace.settings.photos.limits(),
        on_problem=lambda problem: pytest.fail(str(problem)),
    )
    return workspace
