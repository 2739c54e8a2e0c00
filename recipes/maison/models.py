"""The twelve models of Maison Orvane, built from signed distance functions.

The house, its names and its marks are invented.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recipes.maison.accessories import coiled_belt, sunglasses, watch
from recipes.maison.bags import bucket_bag, doctor_bag, flap_bag, hobo_bag, tote
from recipes.maison.scene import Part
from recipes.maison.small_bags import backpack, belt_bag, clutch


@dataclass(frozen=True)
class Model:
    """One product of the catalogue.

    Attributes:
        tilt: degrees added to the pitch of every camera.
    """

    code: str
    name: str
    category: str
    colour: str
    size: str
    build: Callable[[], list[Part]]
    tilt: float = 0.0


def _sand_tote() -> list[Part]:
    return tote("#c9b894", "#7d5c3a", "#6f4830")


def _ink_tote() -> list[Part]:
    return tote("#1f2c46", "#8e9bb5", "#17181b")


MODELS = [
    Model("MO1101", "Lisière Tote", "Tote bag", "Sand", "32 cm", _sand_tote),
    Model("MO1102", "Lisière Tote", "Tote bag", "Ink", "32 cm", _ink_tote),
    Model("MO2204", "Belvédère Flap", "Shoulder bag", "Burgundy", "26 cm", flap_bag),
    Model("MO3310", "Citerne Bucket", "Bucket bag", "Cognac", "21 cm", bucket_bag),
    Model("MO3418", "Praticien", "Top-handle bag", "Fir green", "31 cm", doctor_bag),
    Model("MO3522", "Demi-Lune Hobo", "Hobo bag", "Taupe", "30 cm", hobo_bag),
    Model("MO4107", "Octroi Belt Bag", "Belt bag", "Cobalt", "25 cm", belt_bag),
    Model("MO4215", "Pli Envelope", "Clutch", "Powder pink", "30 cm", clutch),
    Model("MO4330", "Sentier Backpack", "Backpack", "Olive", "28 cm", backpack),
    Model("MA5101", "Corniche", "Sunglasses", "Tortoiseshell", "54 mm", sunglasses, 4.0),
    Model("MW6102", "Méridien 36", "Watch", "Steel and blue", "36 mm", watch),
    Model("MA7020", "Arçon Belt", "Belt", "Black", "90 cm", coiled_belt, 12.0),
]
"""The catalogue. MO1101 and MO1102 differ in colour only."""
