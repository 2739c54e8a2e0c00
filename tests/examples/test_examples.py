"""Every example is run on the demo catalogue."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from typer.testing import CliRunner

from examples import (
    demo_market,
    identify_folder_to_csv,
    own_encoder,
    serve_from_python,
    several_photos_of_one_item,
)
from satchel.cli.app import app
from satchel.encode.card import LITE, read_card
from satchel.encode.registry import read_serving
from satchel.market.listings.states import State
from satchel.market.listings.tables import ListingRow
from satchel.onnx_model import read_model
from satchel.workspace import Workspace

MAISON = Path(identify_folder_to_csv.__file__).parent / "maison"
QUERIES = MAISON / "queries"
pytestmark = pytest.mark.flow


def satchel(workspace: Path, *arguments: str | Path) -> None:
    """Run a command of the command line."""
    done = CliRunner().invoke(app, ["--workspace", str(workspace), *map(str, arguments)])
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo catalogue, indexed with the light encoder, which is quicker."""
    folder = tmp_path_factory.mktemp("examples") / "shop"
    satchel(folder, "init", folder)
    satchel(folder, "promote", "lite0")
    satchel(folder, "import", MAISON / "catalogue.csv")
    satchel(folder, "index")
    return folder


def expected() -> dict[str, str]:
    with (QUERIES / "expected.csv").open(encoding="utf-8") as file:
        return {row["photo"]: row["code"] for row in csv.DictReader(file)}


def test_a_folder_is_identified_to_csv(shop: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("IMG_2041.jpg", "IMG_7713.jpg"):
        shutil.copy(QUERIES / name, photos)
    (photos / "broken.jpg").write_bytes(b"no photo")
    identify_folder_to_csv.main(shop, photos, tmp_path / "answers.csv")
    with (tmp_path / "answers.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [row["photo"] for row in rows] == ["IMG_2041.jpg", "IMG_7713.jpg"]
    assert [row["code_1"] for row in rows] == [expected()[row["photo"]] for row in rows]
    assert float(rows[0]["confidence_1"]) > float(rows[0]["confidence_2"])


def test_several_photos_are_one_item(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = [MAISON / "photos" / "MO2204" / "1.jpg", QUERIES / "IMG_0387.jpg"]
    several_photos_of_one_item.main(shop, photos)
    assert capsys.readouterr().out.splitlines()[1].startswith("1  MO2204")


def test_the_page_is_served_with_a_route_of_ones_own(shop: Path) -> None:
    client = TestClient(serve_from_python.make_app(shop), base_url="http://127.0.0.1")
    assert client.get("/size").json() == {"products": 12, "photos": 48}
    answer = client.post(
        "/api/v1/identify", files={"photos": (QUERIES / "IMG_2041.jpg").read_bytes()}
    )
    assert answer.json()["candidates"][0]["code"] == "MO1102"


def test_an_encoder_of_ones_own_answers(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = read_card(LITE)
    model = tmp_path / "mine.onnx"
    model.write_bytes(read_model(card, LITE.parent))
    copy = shutil.copytree(shop, tmp_path / "shop")
    own_encoder.main(copy, model, card.dimension, card.input_side_px)
    satchel(copy, "index")
    assert read_serving(copy / "models").name == "mine"
    several_photos_of_one_item.main(copy, [QUERIES / "IMG_2041.jpg"])
    assert "1  MO1102" in capsys.readouterr().out


def test_the_demo_market_has_a_good_in_every_state(shop: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(shop, tmp_path / "shop")
    demo_market.main(folder)
    demo_market.main(folder)  # once is enough
    engine = Workspace.open(folder).catalogue.engine
    with engine.connect() as connection:
        states = connection.scalars(select(ListingRow.state)).all()
    assert len(states) == 12
    assert set(states) == set(State) - {State.IN_REVIEW, State.RETURNED, State.WITHDRAWN}
