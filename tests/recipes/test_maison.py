"""The renderer draws the demo catalogue that lies in the repository."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from recipes.maison.camera import Camera, frame
from recipes.maison.models import MODELS
from recipes.maison.places import STUDIO
from recipes.maison.render import VIEWS
from recipes.maison.scene import Placed, Pose, Scene
from recipes.maison.tracer import render

PHOTOS = Path(__file__).resolve().parents[2] / "examples" / "maison" / "photos"
SIDE_PX = 48


@pytest.mark.parametrize("code", ["MO1102", "MW6102"])
def test_a_small_rendering_is_the_photo_scaled_down(code: str) -> None:
    model = next(model for model in MODELS if model.code == code)
    scene = Scene([Placed(part, Pose()) for part in model.build()])
    yaw, pitch = VIEWS[1]
    camera = Camera(yaw, pitch + model.tilt)
    window = frame(scene, camera, margin=0.10)
    drawn = render(scene, STUDIO, camera, window, size=SIDE_PX, samples=2)
    photo = np.asarray(Image.open(PHOTOS / code / "2.jpg").convert("RGB"), np.float32) / 255
    scaled = cv2.resize(photo, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    assert float(np.abs(drawn - scaled).mean()) < 0.04  # few rays do not average the fine patterns
    other = np.abs(drawn - scaled[:, ::-1]).mean()
    assert float(other) > 0.1  # mirrored it is another picture
