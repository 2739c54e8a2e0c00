"""A workspace whose settings name a detector, through every stage."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import jpeg
from satchel.confidence.stored import Calibration, confidence_of, write_calibration
from satchel.curate.rules import CurationRules
from satchel.encode.embed import as_query
from satchel.encode.encoder import Encoder
from satchel.errors import IndexMissing, LocatorError
from satchel.evaluate.offline import stored_photos
from satchel.identify import Identifier
from satchel.images import decode
from satchel.records import WHOLE_PHOTO, Box
from satchel.served import load_embedder, served_space
from satchel.web.state import ServerState
from satchel.workflows.curate import curate_catalogue
from satchel.workflows.index import index_catalogue
from satchel.workspace import Workspace
from support.stub_detector import write_detector

HALVES = (Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1))


def configured(workspace: Workspace, **settings: object) -> Workspace:
    """The workspace, opened with a detector under [locate]: light photos give it two boxes."""
    write_detector(workspace.folder, fit="stretch")
    lines = {"model": "stub.json"} | settings
    text = "[locate]\n" + "".join(f"{name} = {value!r}\n" for name, value in lines.items())
    (workspace.folder / "satchel.toml").write_text(text)
    return Workspace.open(workspace.folder)


def plain(workspace: Workspace) -> Workspace:
    (workspace.folder / "satchel.toml").write_text('[locate]\nmodel = "saliency"\n')
    return Workspace.open(workspace.folder)


def test_with_saliency_embeddings_belong_to_the_encoder(
    filled: Workspace, encoder: Encoder
) -> None:
    assert served_space(filled).id == encoder.id == encoder.card.sha256


def test_embeddings_of_another_locator_are_never_searched(filled: Workspace) -> None:
    before = Identifier.open(filled).identify(jpeg("disc", 50))
    shop = configured(filled)
    assert served_space(shop).id != served_space(filled).id
    with pytest.raises(IndexMissing, match="run `satchel index`"):
        Identifier.open(shop)
    assert index_catalogue(shop).embedded == 10
    found = Identifier.open(shop).identify(jpeg("disc", 50))
    assert found.boxes[0] in HALVES
    assert index_catalogue(shop).embedded == 0
    # Back to saliency, its embeddings are still there, and give the same answer.
    again = plain(shop)
    assert index_catalogue(again).embedded == 0
    assert Identifier.open(again).identify(jpeg("disc", 50)) == before


@pytest.mark.parametrize("settings", [{"pad": 0.3}, {"score": 0.55}, {"classes": {"red": "bag"}}])
def test_every_setting_makes_another_space(filled: Workspace, settings: dict[str, object]) -> None:
    text = {"model": "stub.json"} | {k: v for k, v in settings.items() if k != "classes"}
    first = served_space(configured(filled)).id
    changed = configured(filled, **text)
    if "classes" in settings:
        file = changed.folder / "satchel.toml"
        file.write_text(file.read_text() + 'classes = { red = "bag" }\n')
        changed = Workspace.open(changed.folder)
    assert served_space(changed).id != first


def test_a_gallery_photo_is_its_own_query(filled: Workspace) -> None:
    """What is stored for evaluation is what identification makes of the same photo."""
    shop = configured(filled)
    index_catalogue(shop)
    names = [shop.catalogue.photos_of(f"M{number}")[0].sha256 for number in range(3)]
    embedder = load_embedder(shop)
    stored = stored_photos(shop.catalogue, embedder.space, names)
    for name, kept in zip(names, stored, strict=True):
        (new,) = embedder.embed([decode(shop.photos.read(name))])
        assert as_query(kept, 1).vector == pytest.approx(new.vector, abs=1e-3)  # float16
        assert np.allclose(kept.colours, new.colours, atol=1e-3)
        assert kept.box == new.box
        assert kept.box in HALVES


def test_curation_and_the_server_use_it(filled: Workspace) -> None:
    shop = configured(filled)
    curate_catalogue(shop, CurationRules())
    assert shop.catalogue.vectors.count_missing(served_space(shop).id) == 0
    assert ServerState(shop).indexed() > 0


def test_a_calibration_belongs_to_encoder_and_locator(filled: Workspace, encoder: Encoder) -> None:
    own = encoder.card.confidence.model_copy(update={"identified_at": 0.5})
    spaces = served_space(filled), served_space(configured(filled))
    calibration = Calibration(
        encoder=spaces[1].id,
        made_at="2026-01-01T00:00:00Z",
        source="made",
        products=5,
        confidence=own,
        figures={},
    )
    write_calibration(filled.models, calibration)
    assert [confidence_of(filled.models, one) for one in spaces] == [encoder.card.confidence, own]


def test_no_product_found_is_answered_all_the_same(filled: Workspace) -> None:
    shop = configured(filled, score=1.0)
    index_catalogue(shop)
    identifier = Identifier.open(shop)
    (embedded,) = identifier.embed([jpeg("disc", 50)])
    assert embedded.detections == ()
    assert embedded.box == WHOLE_PHOTO
    assert identifier.identify(jpeg("disc", 50)).candidates[0].product.code == "M0"


def test_a_lost_detector_says_so(filled: Workspace) -> None:
    shop = configured(filled)
    (shop.folder / "stub.onnx").unlink()
    with pytest.raises(LocatorError, match="expected the model at"):
        index_catalogue(shop)
    (shop.folder / "stub.json").unlink()
    with pytest.raises(LocatorError, match="expected a model card at"):
        Identifier.open(shop)
