"""The pages in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from fastapi import FastAPI
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from satchel.catalog.lookalike_groups import GroupState, Proposal
from satchel.web.app import create_app
from satchel.workspace import Workspace
from support.browser import BROWSER_MARKS, Reader

CODES = ("M22675", "A/01 B?", "가방-7", "Z-9")

pytestmark = BROWSER_MARKS


def test_a_photo_is_named(reader, photo, codes):
    reader.go("/")
    reader.send(photo("M22675"))
    reader.until(lambda: len(reader.texts(".candidate")) == len(codes))
    assert reader.texts(".candidate .code code")[0] == "M22675"
    assert reader.texts(".candidate .brand")[0] == "Maison"
    assert all(text.endswith("%") for text in reader.texts(".confidence .number"))
    assert reader.one(".verdict h2").text
    reader.until(lambda: reader.all(".previews .box:not([hidden])"))
    reader.until(lambda: not reader.all("form.working"))
    assert reader.complaints() == []


def test_the_box_lies_on_the_photo_as_the_answer_says(reader, photo):
    reader.go("/")
    reader.send(photo("M22675"))
    reader.until(lambda: reader.all(".previews .box:not([hidden])"))
    shown, natural, box = reader.chrome.execute_script("""
        const image = document.querySelector('.previews img');
        const rect = document.querySelector('.previews .box').getBoundingClientRect();
        const tile = image.getBoundingClientRect();
        const boxes = JSON.parse(document.querySelector('[data-boxes]').dataset.boxes);
        return [[rect.left - tile.left, rect.top - tile.top, rect.right - tile.left,
                 rect.bottom - tile.top], [tile.width, tile.height], boxes[0]];
    """)
    side = min(natural)  # the photo is square, fitted into its tile and centred
    left, top = (natural[0] - side) / 2, (natural[1] - side) / 2
    wanted = [left + box[0] * side, top + box[1] * side, left + box[2] * side, top + box[3] * side]
    assert shown == pytest.approx(wanted, abs=4)  # the line is a few pixels wide


def test_several_photos_of_one_item(reader, photo, codes):
    reader.go("/")
    reader.send(photo("Z-9", 0, "front.jpg"), photo("Z-9", 1, "back.jpg"))
    reader.until(lambda: len(reader.all(".previews .box:not([hidden])")) == 2)
    assert reader.texts(".candidate .code code")[0] == "Z-9"
    reader.all(".previews .remove")[0].click()
    reader.until(lambda: len(reader.all(".previews li")) == 1)
    # The answer was of other photos.
    assert not reader.all(".candidate, .previews .box:not([hidden])")
    reader.one("#clear").click()
    reader.until(lambda: not reader.all(".previews li"))
    assert reader.complaints() == []


def test_more_than_eight_photos(reader, photo):
    reader.go("/")
    files = [photo("Z-9", 0, f"{number}.jpg") for number in range(9)]
    reader.one("#photos").send_keys("\n".join(map(str, files)))
    reader.until(lambda: len(reader.all(".previews li")) == 8)
    assert "first 8 photos" in reader.one("#notice").text


def test_a_text_that_is_named_like_a_photo(reader, photo, tmp_path):
    fake = tmp_path / "fake.jpg"
    fake.write_text("this is a text")
    reader.go("/")
    reader.send(photo("Z-9"), fake)
    reader.until(lambda: reader.texts(".candidate .code code")[:1] == ["Z-9"])  # by the other one
    problem = reader.one("#result .refused")
    assert "Photo 2 cannot be used" in problem.text
    assert "not a photo that Satchel can read" in problem.text
    reader.until(lambda: reader.all(".previews li:nth-child(2).faulty"))
    reader.until(lambda: not reader.all("form.working"))
    reader.all(".previews .remove")[1].click()  # and it can be put right in place
    reader.until(lambda: len(reader.all(".previews li")) == 1)
    reader.one("#submit").click()
    reader.until(lambda: reader.texts(".candidate .code code")[:1] == ["Z-9"])


def test_a_lost_server_is_reported(reader, photo):
    reader.go("/")
    reader.one("#photos").send_keys(str(photo("Z-9")))
    reader.until(lambda: reader.all(".previews li"))
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    reader.chrome.execute_cdp_cmd("Network.enable", {})
    reader.chrome.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    try:
        reader.one("#submit").click()
        reader.until(lambda: "did not answer" in reader.one("#notice").text)
    finally:
        online = offline | {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
        reader.chrome.execute_cdp_cmd("Network.emulateNetworkConditions", online)


def test_all_photos_of_a_candidate(reader, photo):
    reader.go("/")
    reader.send(photo("A/01 B?"))
    reader.until(lambda: reader.texts(".candidate .code code")[:1] == ["A/01 B?"])
    reader.one(".candidate .shot").click()
    reader.until(lambda: reader.one("#product-dialog").get_attribute("open"))
    reader.until(lambda: len(reader.all("#product-dialog .photos img")) == 2)
    reader.until(
        lambda: reader.chrome.execute_script(
            "return [...document.querySelectorAll('#product-dialog img')]"
            ".every(image => image.complete && image.naturalWidth > 0)"
        )
    )
    reader.chrome.switch_to.active_element.send_keys(Keys.ESCAPE)
    reader.until(lambda: not reader.one("#product-dialog").get_attribute("open"))
    assert reader.complaints() == []


def test_everything_can_be_done_by_keyboard(reader, photo):
    reader.go("/")
    reader.one("#photos").send_keys(str(photo("Z-9")))
    reader.until(lambda: reader.all(".previews li"))
    for _ in range(3):  # from the chosen photo: its removal, then the button
        focused = reader.chrome.switch_to.active_element
        if focused.get_attribute("id") == "submit":
            break
        focused.send_keys(Keys.TAB)
    reader.one("#submit").send_keys(Keys.ENTER)
    reader.until(lambda: reader.all(".candidate"))
    reader.one(".candidate .shot").send_keys(Keys.ENTER)
    reader.until(lambda: reader.one("#product-dialog").get_attribute("open"))
    reader.one("#product-dialog .close").send_keys(Keys.ENTER)
    reader.until(lambda: not reader.one("#product-dialog").get_attribute("open"))


def test_a_code_is_copied(reader, photo):
    reader.go("/products/M22675")
    reader.one(".copy").click()
    reader.until(lambda: reader.texts(".copy [role=status]") == ["Copied"])


def test_korean(reader, photo):
    reader.go("/")
    reader.one(".languages a[lang=ko]").click()
    reader.until(lambda: reader.all("html[lang=ko]"))
    assert "사진을 올려 주세요" in reader.one(".drop").text
    reader.send(photo("M22675"))
    reader.until(lambda: reader.texts(".candidate .code code")[:1] == ["M22675"])
    assert reader.one(".verdict h2").text.endswith(("높아요", "주세요", "보여요", "사진이에요"))
    reader.go("/products")
    assert reader.one("h1").text == "카탈로그"
    reader.one(".languages a[lang=en]").click()
    reader.until(lambda: reader.texts("h1") == ["Catalogue"])
    assert reader.complaints() == []


def test_the_catalogue_is_searched_as_one_types(reader, codes):
    reader.go("/products")
    assert sorted(reader.texts(".tile .code")) == sorted(codes)
    reader.one("#query").send_keys("가방")
    reader.until(lambda: reader.texts(".tile .code") == ["가방-7"])
    assert "1 product" in reader.one(".count").text
    reader.one("#query").send_keys("zzz")
    reader.until(lambda: reader.all(".nothing"))
    reader.one("#query").clear()
    reader.one("#query").send_keys("Z")
    reader.until(lambda: reader.texts(".tile .code") == ["Z-9"])
    reader.one(".tile").click()
    reader.until(lambda: reader.texts("h1") == ["Z-9"])
    assert len(reader.all(".photos img")) == 2
    assert reader.complaints() == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_nothing_is_wider_than_a_phone(reader, photo, language):
    reader.resize(360, 740)

    def fits() -> bool:
        script = "return document.documentElement.scrollWidth <= 360"
        return bool(reader.chrome.execute_script(script))

    for path in ("/", "/products", "/products/M22675", "/products/NOPE", "/docs"):
        reader.go(f"{path}?lang={language}")
        assert fits(), path
    reader.go("/")
    reader.send(photo("A/01 B?"), photo("A/01 B?", 1, "second.jpg"))
    reader.until(lambda: reader.all(".candidate"))
    assert fits()
    reader.one(".candidate .shot").click()
    reader.until(lambda: reader.one("#product-dialog").get_attribute("open"))
    assert fits()


@pytest.mark.parametrize("path", ["/", "/products", "/products/M22675", "/docs"])
def test_no_page_complains_or_asks_elsewhere(reader, path):
    reader.go(path)
    assert reader.one("main").text
    assert reader.complaints() == []
    assert all(url.startswith(reader.server) for url in reader.requests() - {"about:blank"})


# -- review ----------------------------------------------------------------------------------------


def test_a_whole_review_by_keyboard(
    chrome: Chrome,
    own_workspace: Workspace,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> None:
    catalogue = own_workspace.catalogue
    review = catalogue.review
    links = {code: review.of_product(code)[0].link_id for code in CODES}
    twin = review.photo(links["Z-9"])
    conflict = {"kind": "two_codes", "codes": ["Z-9"], "photos": [twin.sha256]}
    catalogue.curation.set_states(
        (links[code], "doubtful", [conflict if code == "가방-7" else {"kind": "blurred"}])
        for code in CODES
        if code != "Z-9"
    )
    with run_server(create_app(own_workspace)) as url:
        reader = Reader(chrome, url)
        chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
        reader.resize(1280, 900)
        reader.complaints()
        reader.go("/review")

        def press(key: str) -> None:
            ActionChains(chrome).send_keys(key).perform()

        def asked() -> str:
            return "".join(reader.texts(".context h2 code"))

        def wait_for(code: str) -> None:
            reader.until(lambda: asked() == code)

        wait_for("M22675")
        press("s")
        wait_for("A/01 B?")
        press("d")
        wait_for("가방-7")
        assert review.photo(links["A/01 B?"]).state == "dropped"
        press("u")
        wait_for("A/01 B?")
        assert review.photo(links["A/01 B?"]).state == "doubtful"
        press("m")
        field = reader.one("#code")
        reader.until(lambda: chrome.switch_to.active_element == field)
        field.send_keys("M226")
        reader.until(lambda: reader.all("#codes option[value='M22675']"))
        field.send_keys("75", Keys.ENTER)
        wait_for("가방-7")
        assert len(review.of_product("M22675")) == 3
        press("b")
        reader.until(lambda: reader.texts(".nothing strong") == ["That was the last one"])
        assert [review.photo(links[c]).state for c in ("가방-7", "Z-9")] == ["kept", "kept"]
        reader.one(".nothing a").click()
        wait_for("M22675")
        reader.one("#who").send_keys("kdkd")  # letters in a field are letters
        assert review.photo(links["M22675"]).state == "doubtful"
        chrome.execute_script("document.activeElement.blur()")
        press("k")
        reader.until(lambda: reader.texts(".nothing strong") == ["Nothing is in doubt"])
        assert review.history()[0].by == "kdkd"
        assert reader.complaints() == []


def test_look_alikes_by_keyboard(
    chrome: Chrome,
    own_workspace: Workspace,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> None:
    catalogue = own_workspace.catalogue
    ids, store = catalogue.ids_of_codes(), catalogue.look_alikes
    groups = [("M22675", "A/01 B?", "가방-7"), ("Z-9", "가방-7"), ("M22675", "Z-9")]
    store.propose(
        Proposal(tuple(sorted(ids[code] for code in codes)), 0.96, (None,) * len(codes))
        for codes in groups
    )
    with run_server(create_app(own_workspace)) as url:
        reader = Reader(chrome, url)
        chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
        reader.resize(1280, 900)
        reader.complaints()
        reader.go("/review/look-alikes")

        def press(key: str) -> None:
            ActionChains(chrome).send_keys(key).perform()

        def wait_for(*codes: str) -> None:
            reader.until(lambda: set(reader.texts(".twins h2 code")) == set(codes))

        wait_for("M22675", "A/01 B?", "가방-7")
        press("s")
        wait_for("Z-9", "가방-7")
        press("d")
        wait_for("M22675", "Z-9")
        assert store.count(GroupState.REJECTED) == 1
        press("u")
        wait_for("Z-9", "가방-7")
        assert store.count(GroupState.REJECTED) == 0
        press("c")
        wait_for("M22675", "Z-9")
        press("s")
        reader.until(lambda: reader.texts(".nothing strong") == ["That was the last group"])
        reader.one(".nothing a").click()
        wait_for("M22675", "A/01 B?", "가방-7")
        press("1")  # the first looks different: out it goes
        left = reader.all(".twins input:checked")
        assert len(left) == 2
        press("1")
        assert len(reader.all(".twins input:checked")) == 3
        boxes = reader.all(".twins input")
        boxes[1].click()
        boxes[1].click()
        press("s")  # a box that was clicked on is no field that one types into
        wait_for("M22675", "Z-9")
        reader.one(".twins h2 a").click()
        reader.until(lambda: reader.one("#product-dialog").get_attribute("open"))
        chrome.switch_to.active_element.send_keys(Keys.ESCAPE)
        reader.until(lambda: not reader.one("#product-dialog").get_attribute("open"))
        reader.one("#who").send_keys("cd1")  # letters in a field are letters
        assert store.count(GroupState.CONFIRMED) == 1
        reader.resize(360, 740)
        assert chrome.execute_script("return document.documentElement.scrollWidth <= 360")
        assert reader.complaints() == []


def test_look_alikes_work_without_javascript(
    chrome: Chrome,
    own_workspace: Workspace,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> None:
    ids, store = own_workspace.catalogue.ids_of_codes(), own_workspace.catalogue.look_alikes
    store.propose([Proposal(tuple(sorted(ids[c] for c in CODES[:3])), 0.96, (None,) * 3)])
    with run_server(create_app(own_workspace)) as url:
        reader = Reader(chrome, url)
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        try:
            reader.go("/review/look-alikes")
            reader.all(".twins input")[1].click()
            reader.one("button[value=confirm]").click()
            reader.until(lambda: reader.all(".nothing"))
        finally:
            chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    (group,) = store.in_state(GroupState.CONFIRMED)
    assert set(group.codes) == {"M22675", "가방-7"}


def test_review_works_without_javascript(
    chrome: Chrome,
    own_workspace: Workspace,
    run_server: Callable[[FastAPI], AbstractContextManager[str]],
) -> None:
    review = own_workspace.catalogue.review
    link = review.of_product("M22675")[0].link_id
    own_workspace.catalogue.curation.set_states([(link, "doubtful", [{"kind": "blurred"}])])
    with run_server(create_app(own_workspace)) as url:
        reader = Reader(chrome, url)
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        try:
            reader.go("/review")
            reader.one("button[value=drop]").click()
            reader.until(lambda: reader.all(".nothing"))
        finally:
            chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert review.photo(link).state == "dropped"


# -- DNS rebinding ------------------------------------------------------------------------------


class AttackersPage(BaseHTTPRequestHandler):
    """A page of a foreign name, without any policy."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>evil</title>")

    def log_message(self, *_: object) -> None:
        pass


def test_a_page_whose_name_comes_to_point_here_reads_and_decides_nothing(
    chrome, own_workspace, run_server
):
    """The port changes hands while the page is open, as the address behind its name would."""
    with HTTPServer(("127.0.0.1", 0), AttackersPage) as attacker:
        port = attacker.server_port
        thread = Thread(target=attacker.serve_forever)
        thread.start()
        chrome.get(f"http://evil.example:{port}/")
        assert chrome.title == "evil"
        attacker.shutdown()
        thread.join()
    attack = """
        const [path, method, done] = arguments;
        fetch(path, {method}).then(
            async answer => done([answer.status, await answer.text()]),
            error => done([0, `${error}`]),
        );
    """
    with run_server(create_app(own_workspace), port):
        for path in ("/api/v1/products", "/", "/products", "/openapi.json", "/static/satchel.js"):
            status, text = chrome.execute_async_script(attack, path, "GET")
            assert status == 421, (path, text)
            assert "M22675" not in text
        status, _ = chrome.execute_async_script(attack, "/review/decide", "POST")
        assert status == 421
    chrome.get("about:blank")


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("path", ["/", "/?lang=ko"])
def test_the_page_of_a_wrong_name_is_whole(chrome, server, width, path):
    port = server.rpartition(":")[2]
    size = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": width < 500}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.get_log("browser")
    host = f"{'a-long-name-' * 5}.evil.example"
    chrome.get(f"http://{host}:{port}{path}")
    main = chrome.find_element(By.CSS_SELECTOR, "main .setup")
    assert f'hosts = ["{host}"]' in main.text
    assert main.value_of_css_property("display") == "grid"  # its stylesheet counts
    script = "return document.documentElement.scrollWidth <= innerWidth"
    assert chrome.execute_script(script)
    blocked = [one for one in chrome.get_log("browser") if "Content Security" in one["message"]]
    assert blocked == []
    chrome.get("about:blank")
