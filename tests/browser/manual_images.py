"""Images in the README and the manual: python -m tests.browser.manual_images [NAME ...] makes them again.

They are photographs of the page, of a running studio in a headless browser, and sheets of what the engines make. Needs
the images in the shared test data, and a font with Hangul (Debian: fonts-nanum). Takes about five minutes.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from engines.dcgan import DrawConfig
from engines.jobs import Job, Workshop
from engines.jobs.sweep import DreamSweepConfig
from engines.style_transfer import StyleConfig
from tests.browser.helpers import chrome
from tests.browser.page import Page, Visits
from tests.browser.server import ROOT, running

DOCS = ROOT / "docs"
# A browser takes absolute paths only.
IMAGES = Path(os.environ.get("REVERIE_SHARED", "../shared")).resolve() / "pictures"
WINDOW = (1440, 900)
BALANCE, STROKES = "More style ↔ more photo", "Stroke size"
# Photos by the painting in whose manner each is painted, row by row.
PAINTED = (
    ("chelsea.png", "van_gogh_starry_night.jpg"),
    ("coffee.png", "munch_the_scream.jpg"),
    ("rocket.jpg", "hokusai_great_wave.jpg"),
    ("coffee.png", "kandinsky_composition_vii_1913.jpg"),
    ("chelsea.png", "gauguin_tahiti.jpg"),
    ("rocket.jpg", "van_gogh_starry_night.jpg"),
    ("astronaut.png", "matisse_woman_with_a_hat_1905.jpg"),
    ("astronaut.png", "van_gogh_cafe_terrace.jpg"),
    ("coffee.png", "hokusai_great_wave.jpg"),
)
CELL = (444, 296)


def resize(page: Page, width: int, height: int) -> None:
    """Give the page's window this size, in pixels."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.browser.execute_script("window.scrollTo(0, 0)")
    time.sleep(0.5)


def photographed(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.browser.get_screenshot_as_png())).convert("RGB")


def save(image: Image.Image, name: str) -> None:
    image.save(DOCS / f"{name}.jpg", "JPEG", quality=84)


def home(page: Page) -> None:
    resize(page, *WINDOW)
    page.go_to("Home")
    time.sleep(2)
    save(photographed(page), "home")


def dream(page: Page) -> None:
    page.show_tab("Dream", "dream")
    page.drop(IMAGES / "content" / "coffee.png")
    resize(page, *WINDOW)
    page.begin()
    until_share(page, 0.75)
    save(photographed(page), "dream")
    page.until_over("done")


def on_the_style_tab(page: Page, photo: str, painting: str) -> None:
    page.open_as_a_stranger()  # without the style images of an earlier image
    page.show_tab("Style", "style")
    page.drop(IMAGES / "content" / photo)
    page.one("input[type=file]:has(+ #style-upload)").send_keys(str(IMAGES / "style" / painting))
    stem = Path(painting).stem
    page.until(lambda: [stem in one.get_attribute("src") for one in page.all("#style-paintings img")] == [True], stem)


def style(page: Page) -> None:
    on_the_style_tab(page, "chelsea.png", "hokusai_great_wave.jpg")
    page.choose("seconds", "Good · 1 min")
    resize(page, *WINDOW)
    page.begin()
    until_share(page, 0.8)
    save(photographed(page), "style")
    page.until_over("done")


def steered(page: Page) -> None:
    """A painting whose share of the photo is changed while it is made, as an animation."""
    on_the_style_tab(page, "chelsea.png", "van_gogh_starry_night.jpg")
    page.choose("seconds", "Good · 1 min")
    resize(page, 1440, 1180)
    moves: Iterator[Callable[[], None]] = iter(
        [lambda value=value: page.set_slider(BALANCE, value) for value in (0.3, 0.4, 0.5, 0.6)]  # type: ignore[misc]
    )
    images: list[Image.Image] = []
    page.begin()
    while not page.over:
        images.append(photographed(page).resize((720, 590), Image.Resampling.LANCZOS))
        if share(page) > 0.5:
            next(moves, lambda: None)()
        time.sleep(0.25)
    page.until_over("done")
    images.append(photographed(page).resize((720, 590), Image.Resampling.LANCZOS))
    times = [250] * (len(images) - 1) + [3000]
    images[0].save(
        DOCS / "steered.webp", save_all=True, append_images=images[1:], duration=times, loop=0, quality=60, method=6
    )


def latent(page: Page) -> None:
    page.show_tab("Latent", "latent", "Digits")
    resize(page, *WINDOW)
    page.until(lambda: page.one("#latent-map .explorer").get_attribute("data-state") == "ready", "the map")
    time.sleep(2)
    save(photographed(page), "latent")


def faces(page: Page) -> None:
    page.show_tab("Faces", "gan", "Generate")
    resize(page, *WINDOW)
    page.until(lambda: len(page.all("#gan-face-grid .face-grid button")) == 40, "the grid")
    time.sleep(3)
    save(photographed(page), "faces")


def words(page: Page) -> None:
    page.show_tab("Words", "text", "Write")
    resize(page, 1440, 1140)
    page.begin()
    page.until_over("done")
    page.browser.execute_script("document.querySelectorAll('#text-canvas .word')[12].click()")
    time.sleep(2)
    save(photographed(page), "words")


def gallery(page: Page) -> None:
    page.go_to("Gallery")
    resize(page, 1440, 700)
    time.sleep(3)
    save(photographed(page), "gallery")


def models(page: Page) -> None:
    page.go_to("Models")
    resize(page, *WINDOW)
    time.sleep(3)
    save(photographed(page), "models")


def last_image(job: Job) -> Image.Image:
    *_, last = Workshop().start(job)
    assert last.image is not None
    return Image.fromarray(last.image)


def paintings() -> None:
    """Photos, each painted in the manner of the painting in its corner."""
    config = StyleConfig(seconds=0, size=512, scales=3, steps=30)
    sheet = Image.new("RGB", (3 * CELL[0], 3 * CELL[1]), "white")
    for number, (photo, painting) in enumerate(PAINTED):
        inputs = {"content_image": read("content", photo), "style_images_1": read("style", painting)}
        job = Job(engine="style_transfer", config=config, inputs=inputs, backbone="studio_vgg")
        cell = ImageOps.fit(last_image(job), (CELL[0] - 4, CELL[1] - 4), centering=(0.5, 0.1))
        corner = ImageOps.fit(Image.fromarray(inputs["style_images_1"]), (88, 66))
        cell.paste(Image.new("RGB", (92, 70), "white"), (cell.width - 96, cell.height - 74))
        cell.paste(corner, (cell.width - 94, cell.height - 72))
        sheet.paste(cell, (number % 3 * CELL[0] + 2, number // 3 * CELL[1] + 2))
    save(sheet, "paintings")


def sweep() -> None:
    """A sweep of dreams as it is saved."""
    fixed = {"size": 400, "octaves": 3}
    config = DreamSweepConfig(
        settings=fixed, columns="step_size", column_values=(0.007, 0.014, 0.03), rows="octaves", row_values=(1, 3, 5)
    )
    inputs = {"image": read("content", "rocket.jpg")}
    save(last_image(Job(engine="deep_dream_sweep", config=config, inputs=inputs, backbone="studio_vgg")), "sweep")


def faces_sheet() -> None:
    """Sixty-four faces, none left out."""
    save(last_image(Job(engine="dcgan", config=DrawConfig(count=64), inputs={}, backbone="faces")), "faces_sheet")


def read(kind: str, name: str) -> np.ndarray:
    return np.asarray(Image.open(IMAGES / kind / name).convert("RGB"))


def share(page: Page) -> float:
    """How much of a run is done, in [0, 1]."""
    width = page.browser.execute_script(
        "return document.querySelector(arguments[0]).style.width", page.part("canvas .track i")
    )
    return float(width.rstrip("%") or 0) / 100


def until_share(page: Page, wanted: float) -> None:
    while share(page) < wanted and not page.over:  # on a slow computer longer than tests wait
        time.sleep(0.1)


OF_THE_PAGE = {made.__name__: made for made in (home, dream, style, steered, latent, faces, words, gallery, models)}
OF_ENGINES = {made.__name__: made for made in (paintings, sweep, faces_sheet)}


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*OF_THE_PAGE, *OF_ENGINES], metavar="NAME", help="default: all")
    names = parser.parse_args().names or [*OF_THE_PAGE, *OF_ENGINES]
    for name in names:
        if name in OF_ENGINES:
            OF_ENGINES[name]()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        browser = chrome(**{"goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}})
        try:
            page = Page(browser, server, Visits(server.url))
            page.open_as_a_stranger()
            for name in names:
                if name in OF_THE_PAGE:
                    OF_THE_PAGE[name](page)
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
