"""Goods without their background, from emoji and from rendered models."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from recipes.free_pictures import emoji
from recipes.locator.goods import Sprite, trimmed
from recipes.maison.camera import Camera, frame
from recipes.maison.models import MODELS, Model
from recipes.maison.places import STUDIO
from recipes.maison.scene import Placed, Pose, Scene
from recipes.maison.tracer import render
from satchel.adapt.compose.foreground import extract_foreground, multiplied
from satchel.files import write_atomically
from satchel.images import RGB, decode, encode_jpeg
from satchel.locate.card import CATEGORIES

OTHER: Final = CATEGORIES[-1]

NAMES: Final = {
    "bag": "HANDBAG|CLUTCH BAG|POUCH|SCHOOL SATCHEL|SHOPPING BAG|BRIEFCASE|LUGGAGE|MONEY BAG|"
    "BACKPACK",
    "small leather good": "PURSE",
    "shoe": "SHOE|BOOT|SANDAL|BALLET|ICE SKATE|ROLLER SKATE",
    "eyewear": "EYEGLASSES|SUNGLASSES|GOGGLE",
    "watch": "WATCH",
    "jewellery": "RING|GEM STONE|CROWN|PRAYER BEAD",
    "hat": "TOP HAT|BILLED CAP|WOMANS HAT|HELMET|GRADUATION CAP",
    "scarf": "SCARF",
    "garment": "T-SHIRT|JEAN|DRESS|KIMONO|COAT|LAB COAT|SAFETY VEST|SARI|SHORT|BIKINI|SOCK|GLOVE|"
    "NECKTIE|WOMANS CLOTHES|ONE-PIECE|BRIEF|MARTIAL ARTS UNIFORM|RUNNING SHIRT",
}
"""Category → words in Unicode's name of an emoji, singular; the last that fits counts."""

NO_GOODS: Final = (
    "FACE|PERSON|MAN|WOMAN|BOY|GIRL|CHILD|BABY|HAND|FINGER|FLAG|FAMILY|PEOPLE|MAGE|FAIRY|VAMPIRE|"
    "ELF|GENIE|ZOMBIE|HEART|ARROW|REGIONAL|KEYCAP|SQUARED|CLOCK FACE|EMOJI|PRINCE|COUPLE|DANCER|"
    "SURFER|SYMBOL|SIGN|BUTTON|SQUARE|BUST|POLICE|WORKER|BRIDE|CIRCLED|SWIMMER|ROWBOAT|BICYCLIST|"
    "KISS|SANTA|TAXI|CITY|BUILDING|HOUSE|MOUNTAIN|CLOUD|SKY|SUNRISE|BRIDGE|MERPERSON|SUPER|"
    "WEIGHT LIFTER|LEVITATING|GUARD|SLEUTH|GOLFER|RUNNER|SKIER|SNOWBOARDER|HORSE RACING|FEET|MARK|"
    "BLOOD|ZODIAC|CONGRATUL|HOTEL|HOSPITAL|SCHOOL|FACTORY|CASTLE|STORE|OFFICE|BANK|CHURCH|TEMPLE|"
    "MOSQUE|SYNAGOGUE|LIPS|MUSCLE|BICEPS|EYE|EAR|NOSE|TONGUE|MOUTH|LEG|FOOT|TOOTH|BONE|BRAIN"
)
"""Words in the names of those that are nothing that could lie among goods."""

EMOJI_PX: Final = 200
LEAST_PX: Final = 500

RENDERED_CATEGORIES: Final = {"Sunglasses": "eyewear", "Watch": "watch", "Belt": "belt"}
"""Category of `recipes.maison` → ours; the others are bags."""

RENDERED_PX: Final = 160
VIEWS: Final = 36
"""Of each model."""


def emoji_sprites(folder: Path) -> list[Sprite]:
    """The emoji of a folder that are goods or other things, of one code point each."""
    found = []
    for picture in emoji(folder):
        points = [one for one in picture.path.stem.split("-") if one != "fe0f"]
        category = _category(unicodedata.name(chr(int(points[0], 16)), "FACE"))
        if len(points) > 1 or category is None:
            continue
        with Image.open(picture.path) as file:
            square = file.convert("RGBA").resize((EMOJI_PX, EMOJI_PX), Image.Resampling.LANCZOS)
        pixels = np.asarray(square)
        thing = trimmed(multiplied(pixels[..., :3], np.ascontiguousarray(pixels[..., 3])), LEAST_PX)
        if thing is not None and (sprite := Sprite.of(thing, category)):
            found.append(sprite)
    return found


def _category(name: str) -> str | None:
    """Category of an emoji by its name; None for one that is left out."""
    fitting = [one for one, words in NAMES.items() if re.search(rf"\b({words})(S|ES)?\b", name)]
    if fitting:
        return fitting[-1]
    return None if re.search(rf"\b({NO_GOODS})S?\b", name) else OTHER


def rendered_sprites(folder: Path, views: int = VIEWS) -> list[Sprite]:
    """The models of `recipes.maison` from many sides, cut out.

    Args:
        folder: of the pictures; those that a killed run has rendered are not rendered again.
    """
    found = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, model in enumerate(MODELS):
        for view in range(views):
            path = folder / f"{model.code}-{view}.jpg"
            if not path.exists():
                picture = _render(model, np.random.default_rng([number, view]))
                write_atomically(path, encode_jpeg(picture, 95))
            category = RENDERED_CATEGORIES.get(model.category, "bag")
            if sprite := Sprite.of(extract_foreground(decode(path.read_bytes())), category):
                found.append(sprite)
    return found


def _render(model: Model, rng: np.random.Generator) -> RGB:
    scene = Scene([Placed(part, Pose()) for part in model.build()])
    pitch = rng.uniform(0, 60) + model.tilt * rng.uniform(0, 1)
    camera = Camera(float(rng.uniform(-80, 80)), float(pitch))
    window = frame(scene, camera, margin=0.12)
    picture = render(scene, STUDIO, camera, window, size=RENDERED_PX, samples=2)
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)
