"""A small real workspace, and real servers of it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import cv2
import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from selenium.webdriver import Chrome

from conftest import fill, put_in
from satchel.web.app import create_app
from satchel.web.listening import listen, url_of
from satchel.web.server import Server
from satchel.workspace import Workspace
from support.browser import Reader, start_chrome
from support.held_threads import found_waits
from support.stub_encoder import serve_stub, stub_encoder

CODES = ("M22675", "A/01 B?", "가방-7", "Z-9")
SIDE = 480

Draw = Callable[..., bytes]


def drawn(code: str, *, view: int = 0, suffix: str = ".jpg") -> bytes:
    """A photo of a product: a shape and a pattern of its own on a background of the view's."""
    colour = np.full((SIDE, SIDE, 3), 245 - 25 * view, np.uint8)
    dark = 30 + 10 * view
    match code:
        case "M22675":  # a brown bag with a handle
            cv2.ellipse(colour, (240, 190), (90, 110), 0, 180, 360, (20, 40, dark + 60), 18)
            cv2.rectangle(colour, (100, 190), (380, 400), (30, 60, dark + 90), -1)
            cv2.rectangle(colour, (215, 270), (265, 320), (60, 200, 230), -1)
        case "A/01 B?":  # a red disc with rings
            for radius, blue in ((170, 20), (120, 180), (70, 20)):
                cv2.circle(colour, (240, 240), radius, (blue, 30, 200), -1)
        case "가방-7":  # a chequered square
            for row in range(8):
                for column in range(8):
                    if (row + column) % 2:
                        corner = (100 + 36 * column, 90 + 36 * row)
                        cv2.rectangle(
                            colour, corner, (corner[0] + 36, corner[1] + 36), (0,) * 3, -1
                        )
        case "Z-9":  # a green star of lines
            for angle in np.linspace(0, np.pi, 9):
                reach = (int(180 * np.cos(angle)), int(180 * np.sin(angle)))
                ends = (240 - reach[0], 240 - reach[1]), (240 + reach[0], 240 + reach[1])
                cv2.line(colour, *ends, (60, 150, dark), 14)
        case _:  # blue triangles
            for at in range(4):
                corners = np.array(
                    [[90 + 80 * at, 380], [130 + 80 * at, 120], [170 + 80 * at, 380]]
                )
                cv2.fillPoly(colour, [corners.astype(np.int32)], (200, 90, 40 + 40 * at))
    done, data = cv2.imencode(suffix, colour)
    assert done
    return data.tobytes()


def write_catalogue(folder: Path, codes: tuple[str, ...], views: int = 2) -> Path:
    """Write a catalogue file and its photos."""
    path = folder / "catalogue.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("code", "brand", "name", "colour", "photo", "material"))
        for number, code in enumerate(codes):
            for view in range(views):
                photo = folder / f"{number}-{view}.png"
                photo.write_bytes(drawn(code, view=view, suffix=".png"))
                name = f"Model <{number}>"
                writer.writerow((code, "Maison", name, "brown", photo.name, "leather"))
    return path


@contextmanager
def running(app: FastAPI, port: int = 0) -> Iterator[str]:
    """Serve an application on a port, by default of the system's choice; give its URL."""
    server = Server(app)
    with listen("127.0.0.1", port) as listening:  # from here on, who connects waits for the server
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield url_of(listening)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def all_waits() -> Iterator[list[str]]:
    with found_waits() as found:
        yield found


@pytest.fixture(autouse=True)
def waits(all_waits: list[str]) -> Iterator[list[str]]:
    """What held the event loop or one of the few threads during a test; nothing may."""
    all_waits.clear()
    yield all_waits
    assert not all_waits, "mark the endpoint with @patient:\n" + "\n".join(all_waits)


@pytest.fixture(scope="session")
def draw() -> Draw:
    return drawn


@pytest.fixture(scope="session")
def codes() -> tuple[str, ...]:
    return CODES


@pytest.fixture(scope="session")
def unopened_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with four products of two photos each, indexed, to be copied and never opened.

    A process that reads a database's file to its end takes from its own connections the locks on it
    (https://sqlite.org/howtocorrupt.html, 2.2), and a server that writes then fails.
    """
    workspace = serve_stub(Workspace.create(tmp_path_factory.mktemp("workspace")))
    fill(workspace, write_catalogue(tmp_path_factory.mktemp("source"), CODES), stub_encoder())
    workspace.catalogue.close()
    return workspace.folder


@pytest.fixture(scope="session")
def workspace_folder(unopened_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that servers open. Not to be changed, and not to be copied."""
    return shutil.copytree(unopened_folder, tmp_path_factory.mktemp("opened") / "workspace")


@pytest.fixture
def own_workspace(unopened_folder: Path, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of the workspace that a test may change."""
    workspace = Workspace.open(shutil.copytree(unopened_folder, tmp_path / "own"))
    yield workspace
    workspace.catalogue.close()


@pytest.fixture
def empty_workspace(workspace: Workspace) -> Iterator[Workspace]:
    yield workspace
    workspace.catalogue.close()


@pytest.fixture(scope="session")
def server(workspace_folder: Path) -> Iterator[str]:
    """The URL of a server of the workspace."""
    workspace = Workspace.open(workspace_folder)
    with running(create_app(workspace)) as url:
        yield url
    workspace.catalogue.close()


@pytest.fixture  # of its own for each test: a client keeps the cookies it is given
def client(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=60) as client:
        yield client


@pytest.fixture
def serve_app() -> Iterator[Callable[[FastAPI], httpx.Client]]:
    """A function that serves an application until the end of the test and gives a client."""
    with ExitStack() as stack:

        def serve(app: FastAPI) -> httpx.Client:
            url = stack.enter_context(running(app))
            return stack.enter_context(httpx.Client(base_url=url, timeout=60))

        yield serve


@pytest.fixture(scope="session")
def run_server() -> Callable[[FastAPI], AbstractContextManager[str]]:
    return running


@pytest.fixture(scope="session")
def app_with(workspace_folder: Path) -> Iterator[Callable[..., FastAPI]]:
    """A function that makes an application of the workspace with other settings.

    `photos` are of that section, all others of `[serve]`.
    """
    with ExitStack() as stack:

        def make(photos: Mapping[str, object] | None = None, **serve: object) -> FastAPI:
            opened = Workspace.open(workspace_folder)
            settings = opened.settings
            changed = settings.model_copy(
                update={
                    "photos": settings.photos.model_copy(update=photos or {}),
                    "serve": settings.serve.model_copy(update=serve),
                }
            )
            workspace = Workspace(opened.folder, changed)
            stack.callback(workspace.catalogue.close)
            return create_app(workspace)

        yield make


@pytest.fixture(scope="session")
def add_product() -> Callable[[Path, Path, str], None]:
    """A function that imports one more product and indexes it, as another process would."""

    def add(folder: Path, source: Path, code: str) -> None:
        beside = Workspace.open(folder)
        source.mkdir()
        fill(beside, write_catalogue(source, (code,)), stub_encoder())
        beside.catalogue.close()

    return add


@pytest.fixture(scope="session")
def add_without_index() -> Callable[[Path, Path, str], None]:
    """A function that imports one more product and leaves the index to later."""

    def add(folder: Path, source: Path, code: str) -> None:
        beside = Workspace.open(folder)
        source.mkdir()
        put_in(beside, write_catalogue(source, (code,)))
        beside.catalogue.close()

    return add


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    driver = start_chrome(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture
def reader(chrome: Chrome, server: str) -> Iterator[Reader]:
    reader = Reader(chrome, server)
    chrome.get("about:blank")
    chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
    reader.resize(1280, 900)
    reader.complaints()
    reader.requests()
    yield reader
    foreign = {url for url in reader.requests() if not url.startswith((server, "blob:", "data:"))}
    assert foreign <= {"about:blank"}


@pytest.fixture
def photo(tmp_path: Path, draw: Callable[..., bytes]) -> Callable[..., Path]:
    def write(code: str, view: int = 0, name: str = "bag.jpg") -> Path:
        path = tmp_path / name
        path.write_bytes(draw(code, view=view))
        return path

    return write
