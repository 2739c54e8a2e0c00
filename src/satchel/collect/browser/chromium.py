"""A headless Chromium for pages of strangers: a throw-away profile, few hosts, no photos.

Names are resolved for the profile's hosts alone, so that no page reaches another one, an address of
this network included. The browser loads no photo: `satchel.fetch` does, guarded and bounded.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from satchel.errors import UsageError
from satchel.validation import reason

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

WINDOW: Final = (1280, 1600)
SCRIPT_S: Final = 10.0
HEAP_MB: Final = 512
"""Of a page's script."""
FLAGS: Final = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",  # of 64 MB in many containers
    "--disable-notifications",
    "--disable-popup-blocking",  # would count a press as none; windows are closed
    "--no-first-run",
    "--no-pings",
    "--mute-audio",
    "--lang=en-US",
    "--renderer-process-limit=2",
    "--disk-cache-size=10000000",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--no-proxy-server",  # would resolve names in our place
    f"--js-flags=--max-old-space-size={HEAP_MB}",
    f"--window-size={WINDOW[0]},{WINDOW[1]}",
)

PREFS: Final = {
    "download_restrictions": 3,  # no downloads
    "profile.managed_default_content_settings.images": 2,  # no photos
}


def resolver_rule(hosts: Sequence[str]) -> str:
    """Return the rule by which no host but these is found, whether a name or an address."""
    excluded = "".join(f", EXCLUDE {host}" for host in hosts)
    return f"--host-resolver-rules=MAP * ~NOTFOUND{excluded}"


@contextmanager
def chromium(hosts: Sequence[str], agent: str, page_s: float) -> Iterator[Chrome]:
    """Run a browser; whatever it writes is deleted at the end.

    Args:
        hosts: that it may reach.
        agent: what its user agent says besides its own name.
        page_s: seconds for a page to load.

    Raises:
        UsageError: Chromium or its driver are not installed, or do not start.
    """
    from selenium.common.exceptions import WebDriverException  # noqa: PLC0415 - an extra
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService  # noqa: PLC0415

    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        raise UsageError(
            "expected chromium and chromedriver on this machine, found "
            f"{'only one of them' if binary or driver else 'neither'}; on Debian: apt install "
            "chromium chromium-driver"
        )
    with tempfile.TemporaryDirectory(prefix="satchel-browser-", ignore_cleanup_errors=True) as data:
        options = ChromeOptions()
        options.binary_location = binary
        for flag in (*FLAGS, *_sandbox(), resolver_rule(hosts), f"--user-data-dir={data}"):
            options.add_argument(flag)
        options.add_experimental_option("prefs", PREFS)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        options.page_load_strategy = "eager"  # photos are not waited for
        try:
            chrome = Chrome(options, ChromeService(driver))
        except (WebDriverException, OSError) as error:
            raise UsageError(
                f"Chromium does not start: {reason(error)[:300]}; see `chromium --headless` on "
                "this machine, and in the guide what its sandbox needs"
            ) from None
        try:
            chrome.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "deny"})
            own = chrome.execute_cdp_cmd("Browser.getVersion", {})["userAgent"]
            named = {"userAgent": f"{own} {agent}"}
            chrome.execute_cdp_cmd("Network.setUserAgentOverride", named)
            chrome.set_page_load_timeout(page_s)
            chrome.set_script_timeout(SCRIPT_S)
            yield chrome
        finally:
            with suppress(Exception):  # it may have crashed, and its driver with it
                chrome.quit()
            chrome.service.stop()


def _sandbox() -> Sequence[str]:
    """Chromium refuses to run sandboxed as root, who has no less rights inside a sandbox."""
    return ("--no-sandbox",) if os.geteuid() == 0 else ()


def answers(chrome: Chrome) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Yield status, address and headers of pages since this was last called, the last one last."""
    for entry in chrome.get_log("performance"):  # type: ignore[no-untyped-call]
        message: dict[str, Any] = json.loads(entry["message"])["message"]
        params = message["params"]
        is_page = message["method"] == "Network.responseReceived" and params["type"] == "Document"
        if is_page and params.get("frameId") == chrome.current_window_handle:
            answer = params["response"]
            headers = {name.lower(): value for name, value in answer["headers"].items()}
            yield answer["status"], answer["url"], headers
