"""Serve the page and the HTTP API from your own program, with a route of your own.

python examples/serve_from_python.py WORKSPACE
"""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from satchel import Workspace
from satchel.web.app import create_app


def make_app(folder: Path) -> FastAPI:
    """Make Satchel's application and add `/size` to it."""
    workspace = Workspace.open(folder)
    app = create_app(workspace)

    @app.get("/size")
    def size() -> dict[str, int]:
        size = workspace.catalogue.size()
        return {"products": size.products, "photos": size.photos}

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    uvicorn.run(make_app(parser.parse_args().workspace), host="127.0.0.1", port=8000)
