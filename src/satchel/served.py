"""What a workspace answers with: the served encoder, and the locator that its settings name."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from satchel.encode.card import EncoderCard, read_card
from satchel.encode.embedder import Embedder, EmbeddingSpace
from satchel.encode.encoder import Encoder
from satchel.encode.fit import read_fit
from satchel.encode.registry import serving_card
from satchel.locate.onnx import OnnxLocator
from satchel.locate.registry import configured_locator
from satchel.parallel import cores
from satchel.workspace import Workspace


def served_space(workspace: Workspace) -> EmbeddingSpace:
    """The embeddings that are searched; no model is loaded.

    Raises:
        EncoderError, LocatorError: a card is missing or not valid.
    """
    return space_of(workspace, read_card(serving_card(workspace.models)))


def space_of(workspace: Workspace, card: EncoderCard) -> EmbeddingSpace:
    """The embeddings of an encoder with the workspace's locator.

    Raises:
        LocatorError: the locator's files are missing or not valid.
        EncoderError: what was measured of the space is damaged.
    """
    file = configured_locator(workspace.settings.locate, workspace.folder)
    space = EmbeddingSpace(card, None if file is None else file.id)
    return replace(space, fit=read_fit(workspace.models, space.id))


def load_locator(workspace: Workspace, *, threads: int = 1) -> OnnxLocator | None:
    """Load the workspace's locator; None where saliency locates.

    Raises:
        LocatorError: its files are missing, altered or inconsistent.
    """
    file = configured_locator(workspace.settings.locate, workspace.folder)
    return None if file is None else file.load(threads=threads)


def load_embedder(workspace: Workspace, *, threads: int = 1) -> Embedder:
    """Load the served encoder and the workspace's locator.

    Args:
        threads: for one forward pass. 1 where several threads embed at once, all cores where a
            single caller waits for an answer.

    Raises:
        EncoderError, LocatorError: a model or its card is missing, altered or inconsistent.
    """
    encoder = Encoder.load(serving_card(workspace.models), threads=threads)
    fit = space_of(workspace, encoder.card).fit
    return Embedder(encoder, load_locator(workspace, threads=threads), fit)


def load_in_background(workspace: Workspace) -> Future[Embedder]:
    """Begin to load encoder and locator in a thread, with all cores for a forward pass.

    Reading, verifying and optimising a model of 96 MB leave the interpreter lock: the caller
    imports and opens the rest meanwhile.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="satchel-encoder")
    try:
        return pool.submit(load_embedder, workspace, threads=cores())
    finally:
        pool.shutdown(wait=False)
