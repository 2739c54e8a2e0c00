"""`satchel promote` of an encoder: it is served, in one step.

The gallery is embedded with it in addition to the served vectors, which stay: a rollback costs
nothing. The workspace points to the new encoder only when all vectors are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from satchel.confidence.fit import FEWEST_QUERIES, fit_confidence
from satchel.confidence.outcomes import outcomes_of
from satchel.encode.card import LITE, Confidence, EncoderCard, read_card
from satchel.encode.embed import as_query
from satchel.encode.embedder import Embedder
from satchel.encode.encoder import Encoder
from satchel.encode.registry import CARD, encoder_card, serve_model
from satchel.errors import EncoderError, IndexMissing, UsageError
from satchel.evaluate.offline import Query, rank_pairs, stored_photos
from satchel.evaluate.offline_gallery import OfflineGallery
from satchel.onnx_model import write_card
from satchel.progress import Progress
from satchel.records import PhotoEmbedding
from satchel.search.indexing import build_index
from satchel.served import load_locator, space_of
from satchel.train.runs import Run
from satchel.train.splits import Named, Split
from satchel.workflows.embedding import embed_missing
from satchel.workflows.fit import fit_space
from satchel.workspace import Workspace

if TYPE_CHECKING:
    from satchel.convert.gate import Kind


def promote_run(
    workspace: Workspace, run: Run, kind: Kind | None = None, *, progress: Progress
) -> EncoderCard:
    """Serve a run's encoder.

    Args:
        kind: which of the exported files; None: what runs of its kind are served as, or what agrees
            better where that does not.

    Raises:
        UsageError: this file does not exist, or does not agree with the network.
        EncoderError: a photo could not be embedded; nothing was switched.
    """
    path = exported_model(workspace, run, kind)
    card = read_card(path)
    _embed_gallery(workspace, path, card, progress)
    card = card.model_copy(update={"confidence": _confidence(workspace, run, card)})
    write_card(path, card)
    _serve(workspace, path.parent.name, card)
    return card


def exported_model(workspace: Workspace, run: Run, kind: Kind | None = None) -> Path:
    """The card of a run's ONNX file, which is exported first where it is missing.

    Args:
        kind: see `promote_run`.

    Raises:
        UsageError: this file does not exist, or does not agree with the network.
    """
    for chosen in (kind,) if kind else _kinds_of(run):
        path = workspace.models / f"{run.name}-{chosen}" / CARD
        if not path.exists():
            from satchel.workflows.export import export_run  # noqa: PLC0415 - else no torch

            export_run(workspace, run, (chosen,))
        if path.exists():
            return path
    raise UsageError(
        f"the {kind or 'exported'} file of {run.name} does not exist, or does not agree with the "
        "network it was exported from; see `satchel export`, and choose another kind"
    )


def _kinds_of(run: Run) -> Iterable[Kind]:
    """What a run is served as, then what agrees better with its network."""
    from satchel.workflows.kinds import kind_of  # noqa: PLC0415 - needs torch

    first: Kind = kind_of(run.read()).served_as
    return dict.fromkeys((first, "fp16", "fp32"))


def promote_encoder(workspace: Workspace, name: str, *, progress: Progress) -> EncoderCard:
    """Serve an encoder that Satchel carries, or one that `satchel encoder add` added.

    Raises:
        EncoderError: it is damaged, or a photo could not be embedded; nothing was switched.
    """
    path = encoder_card(workspace.models, name)
    card = read_card(path)
    _embed_gallery(workspace, path, card, progress)
    _serve(workspace, name, card)
    return card


def _embed_gallery(workspace: Workspace, path: Path, card: EncoderCard, progress: Progress) -> None:
    """Embed the photos that this encoder has not embedded, and measure how far apart it finds them.

    The model is not read where all are embedded.
    """
    space = space_of(workspace, card)
    if workspace.catalogue.vectors.count_missing(space.id):
        embedder = Embedder(Encoder.load(path, threads=1), load_locator(workspace))
        problems = embed_missing(workspace, embedder, progress=progress)
        if problems:
            raise EncoderError(
                f"{len(problems)} photos could not be embedded, the first: {problems[0]}"
            )
    fit_space(workspace, space, progress=progress)


def _serve(workspace: Workspace, name: str, card: EncoderCard) -> None:
    """Serve an encoder that the gallery is embedded with."""
    serve_model(workspace.models, name)
    try:
        space = space_of(workspace, card)
        build_index(workspace.catalogue, space, workspace.index_path, workspace.settings.search)
    except IndexMissing:  # an empty catalogue: there is nothing to search yet
        return


# -- confidence ------------------------------------------------------------------------------------


def _confidence(workspace: Workspace, run: Run, card: EncoderCard) -> Confidence:
    """Fit the confidence on the validation part, searched in the training part.

    The index holds the training part alone: whitening must not be fitted on the queries. An adapted
    encoder keeps its card's confidence: synthetic photos are easier than real ones, and there are
    no others (docs/decisions/0011-honest-answers.md).
    """
    record = run.read()
    if record.adapts:
        return card.confidence
    split = Split.load(workspace.split_path(record.split))
    place = {code: at for at, code in enumerate(sorted({code for code, _ in split.train}))}
    val = [(code, sha256) for code, sha256 in split.val if code in place]
    if len(val) < FEWEST_QUERIES or len(place) < 2:
        return card.confidence

    space = space_of(workspace, card)

    def stored(part: Sequence[Named]) -> Iterator[PhotoEmbedding]:
        return stored_photos(workspace.catalogue, space, [sha256 for _, sha256 in part])

    gallery = OfflineGallery(stored(split.train), [place[code] for code, _ in split.train])
    pairs = rank_pairs(
        gallery.searcher(workspace.settings.search, space.fit),
        (Query(as_query(photo, card.n_passes)) for photo in stored(val)),
        [place[code] for code, _ in val],
    )
    measured_on = f"validation part of {record.split}"
    return fit_confidence(outcomes_of(pairs), read_card(LITE).confidence, measured_on)[0]
