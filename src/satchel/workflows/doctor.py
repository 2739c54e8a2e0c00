"""`satchel doctor`: what is installed, what the machine has, whether a workspace can be used."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Final

from satchel._version import __version__
from satchel.confidence.stored import read_calibration
from satchel.config import FILE_NAME
from satchel.encode.card import read_card
from satchel.encode.registry import BUILTINS, serving_card
from satchel.errors import SatchelError, install_extra
from satchel.locate.registry import configured_locator
from satchel.onnx_model import read_model
from satchel.parallel import cores
from satchel.search.index import GalleryIndex
from satchel.served import served_space
from satchel.workflows.status import IndexState, index_state, read_status
from satchel.workspace import ENVIRONMENT, Workspace

LIBRARIES: Final = ("onnxruntime", "numpy", "opencv-python-headless", "pillow", "sqlalchemy")
"""Those whose versions answers depend on."""

LEAST_MEMORY_GB: Final = 2
"""Encoder, locator, decoders and a gallery of some ten thousand photos."""

LEAST_FREE_GB: Final = 1

HASH_SHOWN: Final = 12


class Health(StrEnum):
    """What a finding means."""

    OK = "ok"
    NOTE = "note"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined.

    Attributes:
        advice: what to do; empty where nothing is.
    """

    section: str
    name: str
    value: str
    health: Health = Health.OK
    advice: str = ""


@dataclass(slots=True)
class Diagnosis:
    """All findings, and what to do next."""

    findings: list[Finding] = field(default_factory=list)
    next_steps: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether nothing is broken."""
        return all(finding.health is not Health.BROKEN for finding in self.findings)


def diagnose(folder: Path | None) -> Diagnosis:
    """Look at the program, the machine and a workspace; nothing is changed.

    Args:
        folder: the workspace; None: $SATCHEL_WORKSPACE or the current directory.
    """
    found = Diagnosis()
    found.findings += [*_program(), *_extras(), *_machine(), *_built_in_models()]
    named = folder or os.environ.get(ENVIRONMENT)
    if not named and not Path(FILE_NAME).exists():
        found.findings.append(Finding("workspace", "folder", "none here", Health.NOTE))
        found.next_steps.append("make a workspace: satchel init shop")
        return found
    try:
        workspace = Workspace.open(folder)
    except SatchelError as error:
        found.findings.append(Finding("workspace", "folder", str(error), Health.BROKEN))
        return found
    found.findings += _workspace(workspace)
    if found.healthy:
        found.next_steps += read_status(workspace).next_steps()
    else:
        found.next_steps.append("mend what is broken; satchel check --repair mends some of it")
    return found


def _program() -> Iterator[Finding]:
    yield Finding("program", "Satchel", f"{__version__}, in {Path(__file__).parents[1]}")
    yield Finding("program", "Python", f"{platform.python_version()}, {sys.executable}")
    yield Finding("program", "system", platform.platform())
    for name in LIBRARIES:
        version = _version(name)
        if version is None:
            advice = "install Satchel again: pip install ."
            yield Finding("program", name, "not installed", Health.BROKEN, advice)
        else:
            yield Finding("program", name, version)


def _extras() -> Iterator[Finding]:
    """Each extra with the versions of its packages; developers' ones are left out."""
    for extra, names in sorted(_requirements().items()):
        versions = {name: _version(name) for name in names}
        missing = [name for name, version in versions.items() if version is None]
        if not missing:
            shown = ", ".join(f"{name} {version}" for name, version in versions.items())
            yield Finding("extras", extra, shown)
        elif len(missing) == len(versions):
            yield Finding("extras", extra, "not installed", Health.OK, install_extra(extra))
        else:
            lacks = f"without {', '.join(missing)}"
            yield Finding("extras", extra, lacks, Health.NOTE, install_extra(extra))


def _requirements() -> dict[str, list[str]]:
    """Extra → names of its packages, as the installed package itself says."""
    found: dict[str, list[str]] = {}
    for line in metadata.requires("satchel") or ():
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        name = re.match(r"[\w.-]+", line)
        if extra and name and extra[1] not in ("dev", "docs"):
            found.setdefault(extra[1], []).append(name[0])
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _machine() -> Iterator[Finding]:
    yield Finding("machine", "cores", f"{cores():,}")
    memory = _memory_gb()
    if memory is not None:
        little = memory < LEAST_MEMORY_GB
        yield Finding(
            "machine",
            "memory",
            f"{memory:.1f} GB",
            Health.NOTE if little else Health.OK,
            f"{LEAST_MEMORY_GB} GB or more serve well" if little else "",
        )


def _memory_gb() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError, AttributeError):  # not every system says it
        return None


def _built_in_models() -> Iterator[Finding]:
    for name, card in BUILTINS.items():
        yield _checked("models", name, lambda card=card: _model(card))  # type: ignore[misc]


def _model(path: Path) -> str:
    card = read_card(path)
    size = len(read_model(card, path.parent))
    return f"{size / 1e6:.0f} MB, SHA-256 {card.sha256[:HASH_SHOWN]}… as its card says"


def _workspace(workspace: Workspace) -> Iterator[Finding]:
    section = "workspace"
    yield Finding(section, "folder", str(workspace.folder))
    yield _checked(section, "disk", lambda: _disk(workspace.folder))
    yield _checked(section, "database", lambda: _database(workspace))
    yield _checked(section, "encoder", lambda: _encoder(workspace))
    yield _checked(section, "locator", lambda: _locator(workspace))
    yield _index(workspace)
    yield _checked(section, "calibration", lambda: _calibration(workspace))


def _checked(section: str, name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(section, name, look())
    except (SatchelError, OSError) as error:
        return Finding(section, name, str(error), Health.BROKEN)


def _disk(folder: Path) -> str:
    free = shutil.disk_usage(folder).free / 1e9
    if not os.access(folder, os.W_OK):
        raise SatchelError(f"{folder} cannot be written to: its rights, or a read-only disk")
    if free < LEAST_FREE_GB:
        raise SatchelError(f"{free:.1f} GB are free: make room, at least {LEAST_FREE_GB} GB")
    return f"{free:,.0f} GB free"


def _database(workspace: Workspace) -> str:
    size = workspace.catalogue.size()
    return f"{size.products:,} products, {size.photos:,} photos"


def _encoder(workspace: Workspace) -> str:
    card = serving_card(workspace.models)
    return f"{read_card(card).name}, {_model(card)}"


def _locator(workspace: Workspace) -> str:
    file = configured_locator(workspace.settings.locate, workspace.folder)
    if file is None:
        return "saliency of the encoder"
    file.read()
    return f"{file.card.name}, SHA-256 {file.card.sha256[:HASH_SHOWN]}… as its card says"


def _index(workspace: Workspace) -> Finding:
    try:
        state = index_state(workspace, served_space(workspace))
        if state is IndexState.CURRENT:
            photos = len(GalleryIndex.load(workspace.index_path))
            return Finding("workspace", "index", f"{photos:,} photos, up to date")
    except (SatchelError, OSError) as error:
        return Finding("workspace", "index", str(error), Health.BROKEN, "satchel index")
    health = Health.BROKEN if state is IndexState.DAMAGED else Health.NOTE
    return Finding("workspace", "index", state, health, "satchel index")


def _calibration(workspace: Workspace) -> str:
    found = read_calibration(workspace.models, served_space(workspace).id)
    if found is None:
        return "none: the encoder's card says how sure it is"
    return f"{found.made_at:%Y-%m-%d}, on {found.source}"
