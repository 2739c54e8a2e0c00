"""Where image encoders come from: a model hub, or a folder or file that somebody brought.

    hf-hub:ORGANISATION/NAME[@REVISION]     Hugging Face Hub
    timm:ARCHITECTURE.TAG                   timm's weights there
    open_clip:ARCHITECTURE/TAG              open_clip's
    FOLDER or FILE                          safetensors with its configs, or ONNX

What is fetched is pinned: the commit and the SHA-256 of every file are recorded, and a file whose
hash is not that of the hub is refused. The hub's client resumes what it fetched a part of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from satchel.convert.checkpoint import (
    PICKLED,
    SUFFIX,
    WEIGHTS,
    only_checkpoint,
    refuse_pickle,
)
from satchel.convert.facts import CONFIGS
from satchel.convert.licence import LICENCE_FILES, README, Licence, read_licence
from satchel.errors import EncoderError, MissingExtra, UsageError
from satchel.validation import StrictModel, reason

HUB: Final = "hf-hub:"
TIMM: Final = "timm:"
OPEN_CLIP: Final = "open_clip:"
SCHEMES: Final = (HUB, TIMM, OPEN_CLIP)
ONNX: Final = ".onnx"

OPEN_CLIP_REPOSITORIES: Final = {
    "ViT-B-16/openai": "timm/vit_base_patch16_clip_224.openai",
    "ViT-B-16/laion2b_s34b_b88k": "laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
    "ViT-B-16/datacomp_xl_s13b_b90k": "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K",
    "ViT-B-16-SigLIP/webli": "timm/ViT-B-16-SigLIP",
    "ViT-B-16-SigLIP2/webli": "timm/ViT-B-16-SigLIP2",
    "PE-Core-T-16-384/meta": "timm/PE-Core-T-16-384",
    "PE-Core-S-16-384/meta": "timm/PE-Core-S-16-384",
    "PE-Core-B-16/meta": "timm/PE-Core-B-16",
}
"""open_clip's architecture/tag → repository on the hub; others are known where open_clip is
installed."""

TEXTS: Final = (*CONFIGS, README, *LICENCE_FILES)
"""Files that are read besides the weights, where there are any."""

SHORT_BYTES: Final = 1 << 20
"""Configs and texts of a repository that are larger are not fetched."""


class FileRecord(StrictModel):
    """A file that an encoder was made from."""

    name: str
    bytes: int
    sha256: str


class Provenance(StrictModel):
    """Where an encoder comes from, pinned."""

    source: str
    revision: str | None = None
    licence: Licence
    accepted: bool = False
    files: tuple[FileRecord, ...]

    @property
    def pinned(self) -> str:
        """The source at the commit that was fetched, whatever branch or tag was asked for."""
        if self.revision is None:
            return self.source
        return f"{self.source.partition('@')[0]}@{self.revision}"


@dataclass(frozen=True, slots=True)
class Source:
    """An image encoder's files on this machine.

    Attributes:
        file: the checkpoint or ONNX file.
        folder: has the configs, the model card and the licence.
        provenance: where it comes from.
    """

    file: Path
    folder: Path
    provenance: Provenance


def default_name(given: str) -> str:
    """A name for an encoder of this source: the last part of it."""
    last = given.partition("@")[0].rstrip("/").replace("\\", "/").split("/")[-1].split(":")[-1]
    stem = last.removesuffix(SUFFIX).removesuffix(ONNX)
    if given.startswith(OPEN_CLIP):
        stem = given.removeprefix(OPEN_CLIP).replace("/", "-")
    elif not given.startswith(SCHEMES) and f"{stem}{SUFFIX}" in WEIGHTS:
        stem = Path(given).resolve().parent.name
    return "".join(one if one.isalnum() or one in "-_." else "-" for one in stem).strip("-.")


def resolve(given: str, *, sha256: str | None = None) -> Source:
    """Find a source's files, and fetch them where they are on a hub.

    Args:
        sha256: expected of the file with the weights.

    Raises:
        UsageError: there is no such source, or it cannot be fetched.
        EncoderError: a file is not what it should be.
    """
    revision = None
    if given.startswith(SCHEMES):
        folder, file, weights, revision = _fetched(given)
    else:
        folder, file = _local(Path(given).expanduser())
        weights = _record(file)
    if sha256 is not None and weights.sha256 != sha256.lower():
        raise EncoderError(
            f"{file.name} is another file than was asked for: expected SHA-256 {sha256.lower()}, "
            f"got {weights.sha256} ({weights.bytes:,} bytes); fetch it again, or check where the "
            "hash comes from"
        )
    texts = [_record(folder / name) for name in TEXTS if (folder / name).is_file()]
    provenance = Provenance(
        source=given, revision=revision, licence=read_licence(folder), files=(weights, *texts)
    )
    return Source(file, folder, provenance)


def _record(path: Path) -> FileRecord:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(name=path.name, bytes=path.stat().st_size, sha256=digest)


def _local(path: Path) -> tuple[Path, Path]:
    if path.is_dir():
        onnx = sorted(path.glob(f"*{ONNX}"))
        has_checkpoint = any(path.glob(f"*{SUFFIX}"))
        if len(onnx) == 1 and not has_checkpoint:
            return path, onnx[0]
        return path, only_checkpoint(path)
    if not path.is_file():
        raise UsageError(
            f"there is no file or folder {path}; expected one, or {HUB}ORGANISATION/NAME, "
            f"{TIMM}NAME or {OPEN_CLIP}ARCHITECTURE/TAG"
        )
    if path.suffix.lower() == ONNX:
        return path.parent, path
    refuse_pickle(path)
    return path.parent, path


# -- the hub ---------------------------------------------------------------------------------------


def repository(given: str) -> tuple[str, str | None]:
    """Repository on the hub, and the revision that was asked for.

    Raises:
        UsageError: the source names none.
    """
    name, _, revision = given.partition("@")
    if name.startswith(TIMM):
        repo = f"timm/{name.removeprefix(TIMM)}"
    elif name.startswith(OPEN_CLIP):
        repo = _of_open_clip(name.removeprefix(OPEN_CLIP))
    else:
        repo = name.removeprefix(HUB)
    parts = repo.split("/")
    if len(parts) != 2 or not all(parts) or any(one in (".", "..") for one in parts):
        raise UsageError(f"expected {HUB}ORGANISATION/NAME, with @REVISION if need be, got {given}")
    return repo, revision or None


def _of_open_clip(name: str) -> str:
    if name in OPEN_CLIP_REPOSITORIES:
        return OPEN_CLIP_REPOSITORIES[name]
    architecture, _, tag = name.rpartition("/")
    try:
        from open_clip import get_pretrained_cfg  # noqa: PLC0415 - only where it is installed

        found = get_pretrained_cfg(architecture, tag) or {}
    except ImportError:
        found = {}
    if repo := str(found.get("hf_hub", "")).strip("/"):
        return repo
    known = ", ".join(OPEN_CLIP_REPOSITORIES)
    raise UsageError(
        f"no repository is known for {OPEN_CLIP}{name}; expected one of {known}, or the repository "
        f"itself: {HUB}ORGANISATION/NAME"
    )


def _fetched(given: str) -> tuple[Path, Path, FileRecord, str]:
    """Fetch what is needed of a repository: folder, file with weights, its record, commit."""
    repo, revision = repository(given)
    try:
        import huggingface_hub as hub  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtra("encoders", "huggingface_hub") from None
    listing = _asked(
        given,
        repo,
        lambda: hub.HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=30),
    )
    sizes = {one.rfilename: one for one in listing.siblings or ()}
    weights = next((name for name in WEIGHTS if name in sizes), None)
    if weights is None:
        pickled = [name for name in sizes if name.lower().endswith(PICKLED)]
        has = f" (it has {', '.join(pickled[:3])}, which can run code)" if pickled else ""
        raise EncoderError(
            f"{repo} has none of {', '.join(WEIGHTS)}{has}: expected weights as safetensors; take "
            "a repository that has them, such as timm's or open_clip's of the same model"
        )
    commit = str(listing.sha)
    wanted = [weights] + [
        name for name in TEXTS if name in sizes and (sizes[name].size or 0) <= SHORT_BYTES
    ]
    paths = [
        Path(
            _asked(
                given,
                repo,
                lambda name=name: hub.hf_hub_download(  # type: ignore[misc]
                    repo, name, revision=commit
                ),
            )
        )
        for name in wanted
    ]
    return paths[0].parent, paths[0], _checked(paths[0], sizes[weights]), commit


def _checked(path: Path, expected: Any) -> FileRecord:
    """The record of a fetched file whose size and hash are the hub's."""
    lfs: Mapping[str, Any] = getattr(expected, "lfs", None) or {}
    record = _record(path)
    sha256 = lfs.get("sha256") if isinstance(lfs, Mapping) else getattr(lfs, "sha256", None)
    if (expected.size not in (None, record.bytes)) or (sha256 not in (None, record.sha256)):
        raise EncoderError(
            f"{path.name} is not what the hub has: expected {expected.size:,} bytes with SHA-256 "
            f"{sha256}, got {record.bytes:,} with {record.sha256}; delete {path} and fetch it again"
        )
    return record


def _asked(given: str, repo: str, request: Callable[[], Any]) -> Any:
    """Answer of the hub.

    Raises:
        UsageError: there is no such repository, or the hub cannot be reached.
    """
    from huggingface_hub import errors  # noqa: PLC0415 - an extra

    try:
        return request()
    except errors.GatedRepoError:
        raise UsageError(
            f"{repo} asks for an agreement first: accept it on https://huggingface.co/{repo}, log "
            "in with `hf auth login`, and run this again"
        ) from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        raise UsageError(f"the hub has no {given}: check the name and the revision") from None
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError, RuntimeError) as error:
        raise UsageError(offline_help(given, repo, reason(error))) from None
    except Exception as error:  # the client's transport has errors of its own
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpcore", "requests"):
            raise
        raise UsageError(offline_help(given, repo, reason(error))) from None


def offline_help(given: str, repo: str, why: str) -> str:
    """What to fetch elsewhere, and how to bring it here."""
    files = " ".join((*TEXTS, *WEIGHTS))
    folder = default_name(given)
    return (
        f"{given} cannot be fetched: {why}. Without a network, fetch it where there is one: "
        f"`hf download {repo} --local-dir {folder} --include {files}` (or save these files by hand "
        f"from https://huggingface.co/{repo}/tree/main: one of the three with weights, and of the "
        f"others those there are), bring the folder here, and run `satchel encoder add {folder}`"
    )
