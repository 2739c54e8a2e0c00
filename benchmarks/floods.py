"""How long an ordinary user waits while others hold connections, requests or uploads open.

    python -m benchmarks.floods [CONNECTIONS]    # default 1100

A real server of the demo catalogue. Each flood holds its connections open while one user loads the
page and identifies a photo, ten times.
"""

from __future__ import annotations

import resource
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import httpx
import numpy as np

from benchmarks.hostile import MAISON, run, served
from benchmarks.reporting import print_table, write_json

ROUNDS = 10
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: "
POST = (
    b"POST /api/v1/identify HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 40000000\r\n\r\n"
)
FLOODS = {
    "idle connections": (b"", b""),
    "headers, a byte a second": (HEAD, b"a"),
    "idle POSTs": (POST, b""),
    "bodies, a byte a second": (POST, b"a"),
}
"""Name → what each connection sends at first, and then every second."""


@contextmanager
def flooded(
    address: tuple[str, int], count: int, first: bytes, then: bytes
) -> Iterator[Callable[[], int]]:
    """Hold connections open; yield a function that counts those which still are."""
    stop = Event()
    with ExitStack() as stack:
        flood = [stack.enter_context(socket.create_connection(address, 60)) for _ in range(count)]

        def send(data: bytes) -> None:
            for connection in flood:
                with suppress(OSError):
                    connection.sendall(data)

        def trickle() -> None:
            while not stop.wait(1):
                send(then)

        send(first)
        thread = Thread(target=trickle)
        thread.start()
        yield lambda: sum(map(is_open, flood))
        stop.set()
        thread.join()


def is_open(connection: socket.socket) -> bool:
    """Whether the server has not closed it."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def waits(url: str, photo: bytes) -> tuple[Sequence[float], Sequence[float]]:
    """Seconds that an ordinary user waits for the page, and for an answer."""
    page, answer = [], []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        httpx.get(url, timeout=60).raise_for_status()
        page.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        files = {"photos": ("a.jpg", photo)}
        httpx.post(f"{url}/api/v1/identify", files=files, timeout=60).raise_for_status()
        answer.append(time.perf_counter() - begin)
    return page, answer


def row(name: str, url: str, photo: bytes, still_open: Callable[[], int]) -> list[object]:
    """What the user waits during one flood, in milliseconds."""
    waited = waits(url, photo)
    figures = (f(s) for s in waited for f in (np.median, np.max))
    return [name, still_open(), *(round(float(seconds) * 1000) for seconds in figures)]


def main(connections: int) -> None:
    """Run every flood."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    photo = (MAISON / "queries" / "IMG_2041.jpg").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "shop"
        run(workspace, "init", workspace)
        run(workspace, "import", MAISON / "catalogue.csv")
        run(workspace, "index")
        with served(workspace) as (server, client):
            url = str(client.base_url).rstrip("/")
            address = (client.base_url.host, client.base_url.port or 80)
            rows = [row("nobody else", url, photo, lambda: 0)]
            for name, (first, then) in FLOODS.items():
                with flooded(address, connections, first, then) as still_open:
                    rows.append(row(name, url, photo, still_open))
    header = ("meanwhile", "still open", "page: median ms", "max", "answer: median ms", "max")
    print_table(f"{connections} connections; peak {server.peak_mb:.0f} MB", header, rows)
    write_json("floods", {"connections": connections, "rows": [header, *rows]})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1100)
