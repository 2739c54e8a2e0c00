"""`satchel catalog edit`, `rename`, `merge`, `delete`, `undo` and `purge`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from satchel.cli.catalog_shared import MAX_ID, By, Why, report
from satchel.cli.shared import AsJsonLines, Yes, confirm, counted, open_workspace, print_json, say
from satchel.errors import UsageError

if TYPE_CHECKING:
    from satchel.workspace import Workspace

Code = Annotated[str, typer.Argument(help="The product's code.")]


def edit(
    context: typer.Context,
    code: Code,
    values: Annotated[
        list[str],
        typer.Argument(metavar="COLUMN=VALUE", help="An empty value removes: size="),
    ],
    photo: Annotated[
        str | None, typer.Option(help="Only this photo: its SHA-256, or six digits or more of it.")
    ] = None,
    by: By = None,
    why: Why = None,
    as_json: AsJsonLines = False,
) -> None:
    """Set columns of a product: brand, name, role, source, license, or any other.

    Columns that are kept with photos are set on all photos of the product, or on one: --photo.
    """
    given = {}
    for pair in values:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"expected COLUMN=VALUE, got {pair!r}")
        given[name] = value
    edits = open_workspace(context).catalogue.edits
    report([edits.edit(code, given, photo=photo, by=by, why=why)], as_json=as_json)


def rename(
    context: typer.Context,
    code: Code,
    new: Annotated[str, typer.Argument(metavar="NEW_CODE", help="The new code.")],
    by: By = None,
    why: Why = None,
    as_json: AsJsonLines = False,
) -> None:
    """Give a product another code; later imports with the old code go to it."""
    edits = open_workspace(context).catalogue.edits
    report([edits.rename(code, new, by=by, why=why)], as_json=as_json)


def merge(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="Code of the product that goes into the other.")],
    into: Annotated[str, typer.Argument(help="Code of the product that stays.")],
    by: By = None,
    why: Why = None,
    as_json: AsJsonLines = False,
) -> None:
    """Merge a product into another, which keeps its code and values; later imports follow."""
    workspace = open_workspace(context)
    done = workspace.catalogue.edits.merge(code, into, by=by, why=why)
    _refresh(workspace)
    report([done], as_json=as_json)


def delete(
    context: typer.Context,
    codes: Annotated[list[str], typer.Argument(metavar="CODE", help="Codes of products.")],
    photos: Annotated[
        list[str] | None,
        typer.Option(
            "--photo",
            help="Only this photo of the one product: its SHA-256, or six digits or more of it; "
            "repeat.",
        ),
    ] = None,
    yes: Yes = False,
    by: By = None,
    why: Why = None,
    as_json: AsJsonLines = False,
) -> None:
    """Delete products, or photos of one; imports leave them out until that is undone.

    Files and embeddings stay until `satchel catalog purge`, so that it can be undone.
    """
    workspace = open_workspace(context)
    catalogue, edits = workspace.catalogue, workspace.catalogue.edits
    if photos and len(codes) > 1:
        raise UsageError(f"expected one code with --photo, got {len(codes)}")
    sizes = {code: len(catalogue.photos_of(catalogue.product(code).code)) for code in codes}
    if photos:
        confirm(f"delete {counted(len(photos), 'photo')} of {codes[0]}", yes=yes)
        done = [edits.delete_photos(codes[0], photos, by=by, why=why)]
    else:
        what = ", ".join(f"{code} ({counted(count, 'photo')})" for code, count in sizes.items())
        confirm(f"delete {what}", yes=yes)
        done = [edits.delete_product(code, by=by, why=why) for code in sizes]
    _refresh(workspace)
    report(done, as_json=as_json)
    if photos:
        _say_whether_found(workspace, codes[0])


def undo(
    context: typer.Context,
    decision: Annotated[int, typer.Argument(min=0, max=MAX_ID, help="Number of the edit.")],
    by: By = None,
    as_json: AsJsonLines = False,
) -> None:
    """Undo an edit: what it changed is as it was before. `satchel catalog history` lists edits."""
    from satchel.cli.catalog_shared import sentence
    from satchel.edit_schemas import CatalogueEdit

    workspace = open_workspace(context)
    undone = workspace.catalogue.edits.undo(decision, by=by)
    _refresh(workspace)
    if as_json:
        print_json(CatalogueEdit.of(undone).model_dump(mode="json"))
        return
    say(f"undone: {sentence(undone)}")
    if undone.not_restored:
        say("what was purged did not come back; it can be imported again")


def purge(
    context: typer.Context,
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PHOTO",
            help="SHA-256, all digits, of photos to erase wherever they are; default: what was "
            "deleted.",
        ),
    ] = None,
    days: Annotated[
        int, typer.Option(min=0, max=36_500, help="What was deleted at least so long ago.")
    ] = 30,
    yes: Yes = False,
    by: By = None,
    why: Why = None,
    as_json: AsJsonLines = False,
) -> None:
    """Erase photos for good: files, embeddings, boxes. It cannot be undone.

    Without arguments what was deleted; with photos, these, whether deleted or not: for a licence
    that was withdrawn, or personal data.
    """
    from datetime import timedelta

    from satchel.catalog.tables import now
    from satchel.workflows.edit import purge_deleted, purge_photos

    workspace = open_workspace(context)
    until = now() - timedelta(days=days)
    if photos:
        found = workspace.catalogue.purges.holding(photos)
        codes = sorted({code for of_photo in found.values() for code in of_photo})
        of = f" of {', '.join(codes)}" if codes else ""
        confirm(f"erase {counted(len(found), 'photo')}{of} for good", yes=yes)
        done = purge_photos(workspace, [*found], by=by, why=why)
    else:
        codes, due = [], workspace.catalogue.purges.due(until)
        if due.decisions:
            confirm(
                f"erase {counted(len(due.photos), 'photo')} of "
                f"{counted(len(due.decisions), 'deletion')} for good, which cannot be undone then",
                yes=yes,
            )
        done = purge_deleted(workspace, until, by=by, why=why)
    if as_json:
        print_json(
            {
                "photos": list(done.purge.photos),
                "decisions": list(done.purge.decisions),
                "files": done.files,
                "reports": [str(path) for path in done.reports],
                "journal_emptied": done.journal_emptied,
            }
        )
    else:
        say(
            f"{counted(len(done.purge.photos), 'photo')} erased, "
            f"{counted(done.files, 'file')} deleted"
        )
        for path in done.reports:
            say(f"deleted, since it showed them: {path}")
        say("backups, exports and training runs are not searched: see to them yourself")
    if not done.journal_emptied:
        say(
            "another program reads the database, whose journal may still hold what was erased: "
            "run the same command again when `satchel serve` is stopped"
        )
    for code in codes:
        _say_whether_found(workspace, code)


def _refresh(workspace: Workspace) -> None:
    """Let the index follow, where there is one."""
    from satchel.workflows.edit import refresh_index

    if workspace.index_path.exists():
        refresh_index(workspace)


def _say_whether_found(workspace: Workspace, code: str) -> None:
    states = workspace.catalogue.photo_states([code])[code]
    if not states.get("kept") and not states.get("doubtful"):
        say(f"{code} cannot be found any more: no photo of it is searched")
