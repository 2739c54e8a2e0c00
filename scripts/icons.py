"""Draw the app's icons, `icon-SIDE.png`, from `icon.svg`; needs chromium.

python scripts/icons.py
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

from satchel.web.pages.rendering import STATIC

SIDES: Final = (192, 512)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "icon.png"
        page = Path(folder) / "icon.html"
        svg = (STATIC / "icon.svg").read_text(encoding="utf-8")
        page.write_text(f"<style>*{{margin:0}}svg{{width:1024px;height:1024px}}</style>{svg}")
        command = ["chromium", "--headless", "--no-sandbox", "--window-size=1024,1200"]
        subprocess.run([*command, f"--screenshot={drawn}", str(page)], check=True)  # noqa: S603 # our own words
        large = Image.open(drawn).convert("RGB").crop((0, 0, 1024, 1024))
        for side in SIDES:
            small = large.resize((side, side), Image.Resampling.LANCZOS)
            small.quantize(64).save(STATIC / f"icon-{side}.png", optimize=True)
