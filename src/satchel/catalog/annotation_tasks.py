"""Tasks in annotation tools: which photos were pushed, and what was pulled since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, insert, select, update

from satchel.catalog.database import inserted_id, writing
from satchel.catalog.tables import AnnotationTaskPhotoRow, AnnotationTaskRow


@dataclass(frozen=True, slots=True)
class AnnotationTask:
    """A task in an annotation tool.

    Attributes:
        remote_id: on the server at `url`.
        pulled: state of each part of it that is in the catalogue.
    """

    id: int
    tool: str
    url: str
    remote_id: int
    pulled: Mapping[str, str]


class AnnotationTaskStore:
    """Remembers what is where in annotation tools."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, tool: str, url: str, remote_id: int, photo_ids: Iterable[int] = ()) -> None:
        """Remember a task, to pull from it later, and its photos, which are not suggested again."""
        with writing(self._engine) as connection:
            values = {"tool": tool, "url": url, "remote_id": remote_id, "pulled": {}}
            task = inserted_id(connection, insert(AnnotationTaskRow).values(**values))
            rows = [{"task_id": task, "photo_id": one} for one in photo_ids]
            if rows:
                connection.execute(insert(AnnotationTaskPhotoRow), rows)
            connection.commit()

    def on_server(self, tool: str, url: str) -> list[AnnotationTask]:
        """Return the tasks on a server, by id."""
        row = AnnotationTaskRow
        chosen = select(row.id, row.tool, row.url, row.remote_id, row.pulled)
        with self._engine.connect() as connection:
            rows = connection.execute(
                chosen.where(row.tool == tool, row.url == url).order_by(row.id)
            )
            return [AnnotationTask(*one) for one in rows]

    def set_pulled(self, task: AnnotationTask, pulled: Mapping[str, str]) -> None:
        """Remember which state of a task's parts is in the catalogue."""
        row = AnnotationTaskRow
        with writing(self._engine) as connection:
            connection.execute(update(row).where(row.id == task.id).values(pulled=dict(pulled)))
            connection.commit()
