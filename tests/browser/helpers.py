"""Images and windows that several tests of the page share."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from selenium import webdriver

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=BackForwardCache",
    "--no-first-run",
    "--window-size=1280,900",
)


def chrome(preferences: Mapping[str, object] | None = None, **capabilities: object) -> webdriver.Chrome:
    """A headless Chromium and its driver from the search path; where they are not on it, Selenium looks for Chrome."""
    options = webdriver.ChromeOptions()
    options.add_experimental_option("prefs", dict(preferences or {}))
    options.binary_location = shutil.which("chromium") or ""
    for argument in OPTIONS:
        options.add_argument(argument)
    for name, value in capabilities.items():
        options.set_capability(name, value)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def photo_like(shift: int = 0) -> np.ndarray:
    """(240, 320, 3) uint8: gradients, a bright square and a little noise."""
    y, x = np.mgrid[0:240, 0:320]
    image = np.stack([x * 0.7, y * 0.9, 255 - x * 0.7], axis=-1)
    image[60 + shift : 150 + shift, 80:200] = (200, 60, 40)
    noise = np.random.default_rng(shift).integers(-12, 13, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))
