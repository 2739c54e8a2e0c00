"""Tasks in annotation tools: which photos were pushed, and what was pulled since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select, update

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

    def begin(self, tool: str, url: str, remote_id: int, photo_ids: Iterable[int] = ()) -> int:
        """Remember a task whose photos are about to be pushed; they are not suggested again.

        Returns:
            its id here, to `finish` it by.
        """
        with writing(self._engine) as connection:
            values = {"tool": tool, "url": url, "remote_id": remote_id, "pulled": {}}
            statement = insert(AnnotationTaskRow).values(**values, unfinished=True)
            task = inserted_id(connection, statement)
            rows = [{"task_id": task, "photo_id": one} for one in photo_ids]
            if rows:
                connection.execute(insert(AnnotationTaskPhotoRow), rows)
            connection.commit()
        return task

    def finish(self, task: int) -> None:
        """Remember that the server has all of a task, so that it is pulled from."""
        row = AnnotationTaskRow
        with writing(self._engine) as connection:
            connection.execute(update(row).where(row.id == task).values(unfinished=False))
            connection.commit()

    def forget(self, task: int) -> None:
        """Forget a task that is not on its server; its photos may be suggested again."""
        with writing(self._engine) as connection:
            connection.execute(delete(AnnotationTaskRow).where(AnnotationTaskRow.id == task))
            connection.commit()

    def on_server(self, tool: str, url: str, *, unfinished: bool = False) -> list[AnnotationTask]:
        """Return the tasks on a server, by id.

        Args:
            unfinished: those that were not pushed to the end, in place of those that were.
        """
        row = AnnotationTaskRow
        chosen = select(row.id, row.tool, row.url, row.remote_id, row.pulled)
        with self._engine.connect() as connection:
            rows = connection.execute(
                chosen.where(
                    row.tool == tool, row.url == url, row.unfinished == unfinished
                ).order_by(row.id)
            )
            return [AnnotationTask(*one) for one in rows]

    def set_pulled(self, task: AnnotationTask, pulled: Mapping[str, str]) -> None:
        """Remember which state of a task's parts is in the catalogue."""
        row = AnnotationTaskRow
        with writing(self._engine) as connection:
            connection.execute(update(row).where(row.id == task.id).values(pulled=dict(pulled)))
            connection.commit()
