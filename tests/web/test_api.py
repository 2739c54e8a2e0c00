from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from satchel.identify import Identifier
from satchel.images import decode
from satchel.photo_header import PhotoLimits
from satchel.web.app import create_app
from satchel.workspace import Workspace

Serve = Callable[[FastAPI], httpx.Client]


def photos(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("photos", file) for file in files]


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Check that an answer is an RFC 9457 problem and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["type"] == f"urn:satchel:problem:{slug}"
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    assert told["instance"].startswith("/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return told


# -- identify -----------------------------------------------------------------------------------


def test_a_photo_of_each_product_names_it(client, draw, codes):
    for code in codes:
        answer = client.post("/api/v1/identify", files=photos(("a.jpg", draw(code)))).json()
        assert answer["photo"] == ["a.jpg"]
        assert answer["candidates"][0]["code"] == code
        assert [one["rank"] for one in answer["candidates"]] == [1, 2, 3, 4]
        assert {one["code"] for one in answer["candidates"]} == set(codes)


def test_the_api_says_what_the_identifier_says(client, draw, workspace_folder):
    data = [draw("M22675"), draw("M22675", view=1)]
    answer = client.post(
        "/api/v1/identify", files=photos(("a.jpg", data[0]), ("b.jpg", data[1]))
    ).json()
    workspace = Workspace.open(workspace_folder)
    found = Identifier.open(workspace).identify_item(data)
    workspace.catalogue.close()
    assert answer["verdict"] == found.verdict.value
    assert [one["code"] for one in answer["candidates"]] == [
        candidate.product.code for candidate in found.candidates
    ]
    assert [one["confidence"] for one in answer["candidates"]] == pytest.approx(
        [candidate.confidence for candidate in found.candidates], abs=1e-3
    )
    assert [[box[side] for side in ("x0", "y0", "x1", "y1")] for box in answer["boxes"]] == [
        pytest.approx(box.xyxy, abs=1e-6) for box in found.boxes
    ]


def test_links_of_an_answer_lead_somewhere(client, draw, codes):
    answer = client.post("/api/v1/identify", files=photos(("a.jpg", draw(codes[1])))).json()
    for candidate in answer["candidates"]:
        for kind in ("photo", "thumbnail"):
            assert client.get(candidate[kind]).headers["content-type"] == "image/jpeg"
        page = client.get(candidate["product"], headers={"accept": "text/html"})
        assert page.status_code == 200
        assert candidate["code"] in page.text


def test_top_limits_candidates(client, draw, codes):
    files = photos(("a.jpg", draw(codes[0])))
    answer = client.post("/api/v1/identify?top=2", files=files).json()
    assert len(answer["candidates"]) == 2
    for top in (0, 51, "many"):
        told = problem(
            client.post(f"/api/v1/identify?top={top}", files=files), 422, "invalid-request"
        )
        assert "top" in told["detail"]


def test_eight_photos_are_taken_and_nine_are_not(client, draw):
    file = ("a.jpg", draw("Z-9"))
    assert len(client.post("/api/v1/identify", files=photos(*[file] * 8)).json()["boxes"]) == 8
    told = problem(client.post("/api/v1/identify", files=photos(*[file] * 9)), 400, "bad-request")
    assert "got 9" in told["detail"]


def test_no_photo_at_all(client):
    problem(client.post("/api/v1/identify"), 400, "bad-request")
    told = problem(client.post("/api/v1/identify", data={"photos": "text"}), 422, "invalid-request")
    assert told["detail"] == "body.photos.0: expected a file, got text"
    problem(client.post("/api/v1/identify", json={"photos": []}), 400, "bad-request")


def test_a_form_that_is_cut_off(client):
    answer = client.post(
        "/api/v1/identify",
        content=b'--x\r\nContent-Disposition: form-data; name="pho',
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    problem(answer, 400, "bad-request")
    broken = client.post(
        "/api/v1/identify", content=b"abc", headers={"content-type": "multipart/form-data"}
    )
    problem(broken, 400, "bad-request")


BAD_PHOTOS = [
    ("a text", b"this is a text", 415, "unsupported-format"),
    ("empty", b"", 422, "empty-photo"),
    ("cut", None, 422, "corrupt-photo"),
    ("header only", b"\x89PNG\r\n\x1a\n1234", 422, "corrupt-photo"),
    ("no pixels", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", 422, "corrupt-photo"),
]


@pytest.mark.parametrize(
    ("data", "status", "slug"), [case[1:] for case in BAD_PHOTOS], ids=[c[0] for c in BAD_PHOTOS]
)
def test_a_bad_photo_among_good_ones_is_named_and_the_others_are_answered(
    client, draw, data, status, slug
):
    good = draw("Z-9")
    bad = good[: len(good) // 2] if data is None else data
    sent = photos(("good.jpg", good), ("bad.jpg", bad), ("turned.jpg", draw("Z-9", view=1)))
    answer = client.post("/api/v1/identify", params={"keep": True}, files=sent).json()
    assert answer["candidates"][0]["code"] == "Z-9"
    assert answer["photo"] == ["good.jpg", "turned.jpg"]
    assert len(answer["boxes"]) == len(answer["detections"]) == len(answer["kept"]) == 2
    (refused,) = answer["refused"]
    assert (refused["photo"], refused["name"]) == (2, "bad.jpg")
    assert refused["type"] == f"urn:satchel:problem:{slug}"

    both = photos(("good.jpg", good), ("turned.jpg", draw("Z-9", view=1)))
    without = client.post("/api/v1/identify", files=both).json()
    assert without["refused"] == []
    assert answer["candidates"] == without["candidates"]
    again = client.post("/api/v1/identify", data={"kept": answer["kept"]}).json()
    assert again["candidates"] == without["candidates"]


@pytest.mark.parametrize(
    ("data", "status", "slug"), [case[1:] for case in BAD_PHOTOS], ids=[c[0] for c in BAD_PHOTOS]
)
def test_without_any_good_photo_the_first_is_named(client, draw, data, status, slug):
    bad = draw("Z-9")[:3_000] if data is None else data
    answer = client.post(
        "/api/v1/identify", files=photos(("bad.jpg", bad), ("worse.jpg", b"a text"))
    )
    told = problem(answer, status, slug)
    assert told["photo"] == 1
    assert str(told["detail"]).startswith("photo 1 ('bad.jpg'): ")
    assert told["instance"] == "/api/v1/identify"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\bag.jpg", "bag.jpg"),
        ("<script>alert(1)</script>.jpg", "script>.jpg"),
        ("evil\u202egpj.exe", "evil\ufffdgpj.exe"),
        ("\u1112\u1161\u11ab.jpg", "한.jpg"),
        ("x" * 500, "x" * 119 + "…"),
    ],
)
def test_file_names_are_only_labels(client, draw, sent, shown):
    answer = client.post("/api/v1/identify", files=photos((sent, draw("Z-9"))))
    assert answer.json()["photo"] == [shown]
    told = problem(
        client.post("/api/v1/identify", files=photos((sent, b"no photo"))),
        415,
        "unsupported-format",
    )
    assert f"({shown!r})" in str(told["detail"])


def test_an_upright_photo_and_a_turned_one_give_the_same_boxes(client, draw):
    """A phone's file lies on its side and says so; boxes are of the upright photo."""
    upright = Image.open(BytesIO(draw("M22675", suffix=".png")))
    turned = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown, the file's picture is turned a quarter clockwise
    upright.rotate(90, expand=True).save(turned, "PNG", exif=exif)
    assert np.array_equal(decode(turned.getvalue()), np.asarray(upright.convert("RGB")))
    files = photos(("a.png", draw("M22675", suffix=".png")), ("b.png", turned.getvalue()))
    first, second = client.post("/api/v1/identify", files=files).json()["boxes"]
    assert first == second


# -- limits -------------------------------------------------------------------------------------


@pytest.fixture
def small(own_workspace: Workspace, serve_app: Serve) -> Iterator[httpx.Client]:
    """A server that takes photos of 100,000 bytes and 250,000 pixels at most."""
    settings = '[locate]\nmodel = "saliency"\n[photos]\nmax_bytes = 100_000\nmax_pixels = 250_000\n'
    (own_workspace.folder / "satchel.toml").write_text(settings)
    workspace = Workspace.open(own_workspace.folder)
    assert workspace.settings.photos.limits() == PhotoLimits(100_000, 250_000)
    yield serve_app(create_app(workspace))
    workspace.catalogue.close()


def test_a_photo_of_too_many_bytes(small, draw):
    data = draw("Z-9") + bytes(100_000)
    told = problem(
        small.post("/api/v1/identify", files=photos(("a.jpg", data))), 413, "photo-too-large"
    )
    assert "at most 100,000 bytes" in str(told["detail"])


def test_a_photo_of_too_many_pixels(small):
    file = BytesIO()
    Image.new("RGB", (1000, 1000)).save(file, "PNG")
    told = problem(
        small.post("/api/v1/identify", files=photos(("a.png", file.getvalue()))),
        413,
        "photo-too-large",
    )
    assert "1000 × 1000" in str(told["detail"])


def test_an_upload_that_declares_too_much_is_refused_unread(small):
    with socket.create_connection((small.base_url.host, small.base_url.port), 30) as connection:
        connection.sendall(
            b"POST /api/v1/identify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )  # and not a byte of the body
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"urn:satchel:problem:upload-too-large" in answer


def test_an_upload_that_declares_nothing_is_counted(small):
    def endless() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a"\r\n\r\n'
        while True:
            yield bytes(65_536)

    try:
        answer = small.post(
            "/api/v1/identify",
            content=endless(),
            headers={"content-type": "multipart/form-data; boundary=x"},
        )
    except httpx.TransportError:  # the server closed before this side had read the answer
        pass
    else:
        problem(answer, 413, "upload-too-large")
    assert small.get("/healthz").status_code == 200


# -- catalogue ----------------------------------------------------------------------------------


def test_products_are_listed_in_stretches(client, codes):
    first = client.get("/api/v1/products", params={"limit": 3}).json()
    rest = client.get("/api/v1/products", params={"limit": 3, "offset": 3}).json()
    assert first["total"] == 4
    assert [len(page["products"]) for page in (first, rest)] == [3, 1]
    listed = [product["code"] for page in (first, rest) for product in page["products"]]
    assert listed == sorted(codes)
    assert first["products"][0]["attributes"] == {"material": "leather"}


def test_products_are_searched(client):
    found = client.get("/api/v1/products", params={"query": "m226 maison"}).json()
    assert [product["code"] for product in found["products"]] == ["M22675"]
    assert client.get("/api/v1/products", params={"query": "%"}).json()["total"] == 0


@pytest.mark.parametrize("query", ["limit=101", "limit=0", "offset=-1", f"query={'a' * 201}"])
def test_parameters_out_of_range(client, query):
    problem(client.get(f"/api/v1/products?{query}"), 422, "invalid-request")


def test_a_product_with_all_its_photos(client, codes):
    for code in codes:
        told = client.get(f"/api/v1/products/{quote(code, safe='')}").json()
        assert told["product"]["code"] == code
        assert len(told["photos"]) == 2
        assert (told["photos"][0]["width"], told["photos"][0]["height"]) == (480, 480)
    assert client.get("/api/v1/products/A/01%20B%3F").json()["product"]["code"] == "A/01 B?"


def test_an_unknown_product(client):
    told = problem(client.get("/api/v1/products/NO%3F%2Fé"), 404, "not-found")
    assert "'NO?/é'" in str(told["detail"])
    assert told["instance"] == "/api/v1/products/NO%3F/%C3%A9"


def test_unknown_address_and_wrong_method(client):
    problem(client.get("/api/v1/nothing"), 404, "not-found")
    answer = client.delete("/api/v1/products")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/", "/products", "/healthz", "/api/v1/products/Z-9", "/nothing"])
def test_head_is_get_without_its_body(client, path):
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    for name in ("content-type", "content-length", "content-security-policy"):
        assert head.headers[name] == get.headers[name]


def test_head_of_what_is_posted(client):
    assert client.head("/review/decide").status_code == 405


# -- photos -------------------------------------------------------------------------------------


@pytest.fixture
def sha(client) -> str:
    photo = client.get("/api/v1/products/Z-9").json()["photos"][0]
    return str(photo["sha256"])


@pytest.mark.parametrize("folder", ["photos", "thumbnails"])
def test_photos_may_be_kept_for_ever(client, sha, folder):
    answer = client.get(f"/{folder}/{sha}.jpg")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in answer.headers["cache-control"]
    again = client.get(f"/{folder}/{sha}.jpg", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304
    assert not again.content


@pytest.mark.parametrize("side", [160, 320, 640])
def test_thumbnails_have_the_side_that_was_asked_for(client, sha, side):
    answer = client.get(f"/thumbnails/{sha}.jpg?side={side}")
    assert Image.open(BytesIO(answer.content)).size == (min(side, 480),) * 2


def test_thumbnails_have_no_other_sides(client, sha):
    problem(client.get(f"/thumbnails/{sha}.jpg?side=321"), 422, "invalid-request")


def test_only_photos_of_the_catalogue_are_served(own_workspace, serve_app, draw):
    stray = own_workspace.photos.put(draw("other"))
    client = serve_app(create_app(own_workspace))
    for folder in ("photos", "thumbnails"):
        for name in (stray, "0" * 64, "..%2f..%2fsatchel", "x" * 64, "Ａ" * 64):
            problem(client.get(f"/{folder}/{name}.jpg"), 404, "not-found")


def test_a_photo_whose_file_is_gone(own_workspace, serve_app, sha):
    own_workspace.photos.path(sha).unlink()
    client = serve_app(create_app(own_workspace))
    for folder in ("photos", "thumbnails"):
        told = problem(client.get(f"/{folder}/{sha}.jpg"), 404, "not-found")
        assert "backup" in str(told["detail"])


# -- states of the server -----------------------------------------------------------------------


def test_health(client):
    answer = client.get("/healthz")
    assert answer.json() == {"status": "ok", "products": 4, "photos": 8, "indexed": 8}


def test_an_empty_workspace_is_served(empty_workspace, serve_app, draw):
    client = serve_app(create_app(empty_workspace))
    health = client.get("/healthz")
    assert health.status_code == 200
    assert health.json() == {"status": "no_index", "products": 0, "photos": 0, "indexed": 0}
    answer = client.post("/api/v1/identify", files=photos(("a.jpg", draw("Z-9"))))
    told = problem(answer, 503, "no-index")
    assert "satchel import" in str(told["detail"])
    assert int(answer.headers["retry-after"]) > 0


def test_a_database_that_cannot_be_read(own_workspace, serve_app):
    client = serve_app(create_app(own_workspace))
    assert client.get("/healthz").status_code == 200
    own_workspace.catalogue.close()
    for path in own_workspace.folder.glob("satchel.db*"):
        path.write_bytes(os.urandom(8192))
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_unexpected_error_reveals_no_internals(own_workspace, serve_app):
    app = create_app(own_workspace)

    @app.get("/api/broken")
    def broken() -> None:
        raise RuntimeError("the secret path /var/lib/secret")

    client = serve_app(app)
    answer = client.get("/api/broken")
    problem(answer, 500, "internal")
    assert "secret" not in answer.text


def test_an_index_written_by_another_process_is_used(
    own_workspace, serve_app, add_product, tmp_path, draw
):
    client = serve_app(create_app(own_workspace))
    files = photos(("a.jpg", draw("NEW")))
    before = client.post("/api/v1/identify", files=files).json()
    assert "NEW" not in {one["code"] for one in before["candidates"]}
    add_product(own_workspace.folder, tmp_path / "more", "NEW")
    after = client.post("/api/v1/identify", files=files).json()
    assert after["candidates"][0]["code"] == "NEW"
    assert client.get("/healthz").json()["indexed"] == 10


def test_the_first_index_needs_no_restart(empty_workspace, serve_app, add_product, tmp_path, draw):
    client = serve_app(create_app(empty_workspace))
    files = photos(("a.jpg", draw("M22675")))
    assert client.post("/api/v1/identify", files=files).status_code == 503
    add_product(empty_workspace.folder, tmp_path / "more", "M22675")
    assert client.post("/api/v1/identify", files=files).json()["candidates"][0]["code"] == "M22675"


def test_a_damaged_index_is_made_again(own_workspace: Workspace, serve_app, draw):
    client = serve_app(create_app(own_workspace))
    own_workspace.index_path.write_bytes(b"garbage")
    answer = client.post("/api/v1/identify", files=photos(("a.jpg", draw("Z-9"))))
    assert answer.json()["candidates"][0]["code"] == "Z-9"


# -- description and headers --------------------------------------------------------------------


def test_openapi_describes_errors_as_problems(client):
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/api/v1/jobs",
        "/api/v1/jobs/{job}",
        "/api/v1/jobs/{job}/cancel",
        "/api/v1/jobs/{job}/retry",
        "/api/v1/look-alikes",
        "/api/v1/look-alikes/{group}",
        "/api/v1/identify",
        "/api/v1/facets",
        "/api/v1/feedback",
        "/api/v1/products",
        "/api/v1/products/{code}",
        "/api/v1/edits",
        "/api/v1/edits/columns",
        "/api/v1/edits/rename",
        "/api/v1/edits/merge",
        "/api/v1/edits/delete",
        "/api/v1/edits/undo",
        "/api/v1/cases.csv",
        "/api/v1/catalogue.csv",
        "/api/v1/catalogue.jsonl",
        "/api/v1/collections",
        "/api/v1/collections/candidates",
        "/api/v1/collections/decide",
        "/api/v1/collections/undo",
        "/api/v1/collections/urls",
        "/photos/{sha}.jpg",
        "/thumbnails/{sha}.jpg",
        "/healthz",
        "/healthz/live",
        "/healthz/ready",
    }
    assert "HTTPValidationError" not in schema["components"]["schemas"]
    for path in schema["paths"].values():
        for operation in path.values():
            assert operation["description"]
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"]


@pytest.mark.parametrize("path", ["/", "/products", "/healthz", "/static/satchel.css", "/nothing"])
def test_every_answer_carries_the_security_headers(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers or "uvicorn" in headers["server"]


def test_static_files_with_their_version_may_be_kept(client):
    page = client.get("/").text
    for name in ("satchel.css", "satchel.js", "htmx.min.js", "favicon.svg"):
        address = page.split(f"/static/{name}", 1)[1].split('"', 1)[0]
        assert "immutable" in client.get(f"/static/{name}{address}").headers["cache-control"]
        assert "cache-control" not in client.get(f"/static/{name}").headers
    assert client.get("/static/../app.py").status_code == 404


def test_package_has_what_it_serves():
    folder = Path(__file__).parents[2] / "src/satchel/web"
    assert "0BSD" in (folder / "static/LICENSES.txt").read_text()
