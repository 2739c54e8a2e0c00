"""`satchel annotate import` and `export`: boxes in files ↔ boxes in the catalogue."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from satchel.annotate.checks import BadAnnotation
from satchel.annotate.class_map import ClassMap
from satchel.annotate.formats import FORMATS
from satchel.annotate.matching import PhotoMatcher, stored_name
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.catalog.annotations import BoxSource, Labelling, NewLabelling
from satchel.errors import CatalogueError, UsageError
from satchel.files import atomic_path, write_atomically
from satchel.parallel import batched, cores, map_in_order
from satchel.progress import SILENT, Progress
from satchel.records import LabelledBox, Problem
from satchel.workflows.problem_report import ProblemReport
from satchel.workspace import Workspace

BATCH_PHOTOS: Final = 200
COLUMNS: Final = ("photo", "line", "reason")


@dataclass(slots=True)
class AnnotationImport:
    """Result of an import, in photos and boxes.

    Attributes:
        photos: that have new boxes now.
        unchanged: photos whose boxes were known.
        unlabelled: photos without boxes, which says nothing unless a person checked them.
        left_out: boxes of classes that the class map leaves out.
        report: CSV file of what could not be imported; written only where there is something.
    """

    report: Path
    photos: int = 0
    boxes: int = 0
    unchanged: int = 0
    unlabelled: int = 0
    left_out: int = 0
    problems: int = 0


def import_annotations(
    workspace: Workspace,
    annotations: Iterable[AnnotatedPhoto | BoxProblem],
    *,
    origin: str,
    photos: Path,
    classes: ClassMap,
    checked: bool = False,
    by: str | None = None,
    on_problem: Callable[[Problem], None],
    progress: Progress = SILENT,
) -> AnnotationImport:
    """Store the boxes of annotated photos that are in the catalogue.

    Photos with a box of a person are a person's, with all their boxes; those whose boxes all have
    scores are pre-labels. Killed at any moment, the same command resumes.

    Args:
        origin: names the file or task, for the history.
        photos: folder in which photos are looked for that are not named by their SHA-256.
        checked: a person checked every photo: scores are dropped, and photos without boxes show
            no product.
        by: the person, where the file does not say who drew a box.
        on_problem: called with each box or photo that is left out.
    """
    matcher = PhotoMatcher(workspace.catalogue, photos, workspace.settings.photos.limits())
    with ProblemReport(workspace.reports, "annotations", Path(origin).stem, COLUMNS) as report:
        done = AnnotationImport(report.path)

        def refuse(problem: BoxProblem) -> None:
            done.problems += 1
            report.add(problem.photo, problem.line, problem.reason)
            on_problem(problem)

        def match(one: AnnotatedPhoto | BoxProblem) -> _Matched | BoxProblem:
            return one if isinstance(one, BoxProblem) else _matched(one, matcher)

        progress.begin("import boxes", 0)
        found = map_in_order(match, annotations, workers=cores(), ahead=8)
        for batch in batched(found, BATCH_PHOTOS):
            for one in batch:
                if isinstance(one, BoxProblem):
                    refuse(one)
            matched = [one for one in batch if isinstance(one, _Matched)]
            _store(workspace, matched, done, classes, checked=checked, origin=origin, by=by)
            progress.advance(len(matched))
    return done


@dataclass(frozen=True, slots=True)
class _Matched:
    """An annotated photo, with its id in the catalogue."""

    photo_id: int
    photo: AnnotatedPhoto


def _matched(photo: AnnotatedPhoto, matcher: PhotoMatcher) -> _Matched | BoxProblem:
    try:
        return _Matched(matcher.match(photo).id, photo)
    except BadAnnotation as error:
        return BoxProblem.of(photo.path, 0, str(error))


def _store(
    workspace: Workspace,
    matched: Iterable[_Matched],
    done: AnnotationImport,
    classes: ClassMap,
    *,
    checked: bool,
    origin: str,
    by: str | None,
) -> None:
    """Store the boxes of some photos, and count them."""
    labellings: dict[BoxSource, list[NewLabelling]] = {source: [] for source in BoxSource}
    for one in matched:
        if not one.photo.boxes and (one.photo.refused or not checked):
            done.unlabelled += not one.photo.refused
            continue
        person = checked or one.photo.checked
        boxes = tuple(_renamed(one.photo.boxes, classes, person=person))
        done.left_out += len(one.photo.boxes) - len(boxes)
        if boxes or person:
            source = BoxSource.PERSON if person else BoxSource.PRE_LABEL
            labellings[source].append(NewLabelling(one.photo_id, boxes))
    for source, new in labellings.items():
        count = workspace.catalogue.annotations.put(new, source, origin=origin, by=by)
        done.photos += count.photos
        done.boxes += count.boxes
        done.unchanged += count.unchanged


def _renamed(
    boxes: Iterable[LabelledBox], classes: ClassMap, *, person: bool
) -> Iterator[LabelledBox]:
    """Yield boxes under the names to keep; a person's have no scores."""
    for one in boxes:
        label = classes(one.label)
        if label is not None:
            score = None if person else one.score
            yield LabelledBox(one.box, label, one.attributes, score, one.who)


# -- export ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AnnotationExport:
    """Result of an export; `categories` counts the boxes of each."""

    photos: int
    categories: dict[str, int]
    problems: tuple[Problem, ...]


def export_annotations(
    workspace: Workspace,
    path: Path,
    format_name: str,
    *,
    photos: Path | None = None,
    source: BoxSource | None = None,
    progress: Progress = SILENT,
) -> AnnotationExport:
    """Write the catalogue's boxes in a format.

    Args:
        path: file or folder, as the format has it, or a .zip of it.
        photos: folder to copy the photos to, under the names that the file gives them.
        source: only boxes of a person, or only pre-labels.

    Raises:
        UsageError: it cannot be written there, or there are no boxes.
    """
    store = workspace.catalogue.annotations
    categories, total = store.categories(source=source), store.count(source=source)
    if not total:
        raise UsageError("the catalogue has no boxes to export; see: satchel annotate import")
    progress.begin("export boxes", total)

    def annotated() -> Iterator[AnnotatedPhoto]:
        for one in store.current(source=source):
            yield annotated_photo(one)
            progress.advance()

    _write(annotated(), path, format_name, list(categories))
    problems: list[Problem] = []
    if photos is not None:
        progress.begin("copy photos", total)
        names = (one.photo for one in store.current(source=source))
        problems = copy_photos(workspace, names, photos, progress=progress)
    return AnnotationExport(total, categories, tuple(problems))


def annotated_photo(one: Labelling) -> AnnotatedPhoto:
    """Return a photo of the catalogue with its boxes, named for annotation files."""
    return AnnotatedPhoto(stored_name(one.photo), one.width, one.height, one.boxes)


def _write(photos: Iterator[AnnotatedPhoto], path: Path, name: str, labels: list[str]) -> None:
    chosen = FORMATS[name]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() != ".zip":
            chosen.write(photos, path, labels)
            return
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".satchel-") as folder:
            inner = Path(folder) / f"annotations{chosen.suffix}"
            chosen.write(photos, inner, labels)
            with atomic_path(path) as temporary:
                _pack(inner, temporary)
    except OSError as error:
        raise UsageError(f"cannot write to {path}: {error.strerror}; name another") from None


def _pack(source: Path, target: Path) -> None:
    files = [source] if source.is_file() else sorted(f for f in source.rglob("*") if f.is_file())
    root = source.parent if source.is_file() else source
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(root).as_posix())


def copy_photos(
    workspace: Workspace, photos: Iterable[str], folder: Path, *, progress: Progress = SILENT
) -> list[Problem]:
    """Copy photos, by SHA-256, to a folder, under the names by which annotation files know them.

    Returns:
        photos that are gone from the store.

    Raises:
        UsageError: the folder cannot be written to.
    """
    problems: list[Problem] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for photo in photos:
            target = folder / stored_name(photo)
            try:
                if not target.exists():
                    write_atomically(target, workspace.photos.read(photo))
            except CatalogueError as error:
                problems.append(Problem(target.name, str(error)))
            progress.advance()
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}; name another") from None
    return problems
