"""`satchel lookalikes`: propose groups of products that photos cannot distinguish."""

from __future__ import annotations

from satchel.confidence.stored import confidence_of
from satchel.lookalikes.groups import propose
from satchel.progress import SILENT, Progress
from satchel.search.indexing import open_index
from satchel.served import served_space
from satchel.workspace import Workspace


def propose_look_alikes(workspace: Workspace, *, progress: Progress = SILENT) -> None:
    """Find look-alikes in the gallery and propose them; decisions are kept. A killed run resumes.

    Raises:
        IndexMissing: no photo is embedded, so there is nothing to compare.
    """
    space = served_space(workspace)
    propose(
        workspace.catalogue,
        open_index(workspace.catalogue, space, workspace.index_path, workspace.settings.search),
        confidence_of(workspace.models, space),
        workspace.settings.look_alikes,
        workspace.index_path.with_name("look-alikes.jsonl"),
        progress=progress,
    )
