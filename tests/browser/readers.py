"""What the tests of the reader's pages share: waiting for the image, reading the canvas, asking axe."""

import base64

import numpy as np
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

READY = "[data-viewer][data-state=ready]"


def image_ready(page: Page) -> None:
    """Wait until the image is drawn."""
    expect(page.locator(READY)).to_be_visible()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def canvas_grey(page: Page) -> np.ndarray:
    """The red channel of the canvas, (height, width)."""
    width, height, packed = page.evaluate(
        """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
          const canvas = document.querySelector('[data-canvas]');
          const copy = document.createElement('canvas');
          [copy.width, copy.height] = [canvas.width, canvas.height];
          const context = copy.getContext('2d', { willReadFrequently: true });
          context.drawImage(canvas, 0, 0);
          const { data } = context.getImageData(0, 0, copy.width, copy.height);
          let text = '';
          for (let i = 0; i < data.length; i += 4) text += String.fromCharCode(data[i]);
          done([copy.width, copy.height, btoa(text)]);
        })))"""
    )
    return np.frombuffer(base64.b64decode(packed), np.uint8).reshape(height, width)


def shown_at_one_to_one(page: Page, rows: int, columns: int) -> np.ndarray:
    """The image as it stands in the middle of the canvas at 1:1."""
    grey = canvas_grey(page)
    top, left = round((grey.shape[0] - rows) / 2 + 1e-9), round((grey.shape[1] - columns) / 2 + 1e-9)
    return grey[top : top + rows, left : left + columns]


def faults_of(page: Page) -> list[str]:
    """What axe finds wrong once all has arrived, a line each: what still fades in has too little contrast."""
    page.evaluate(
        """() => Promise.all(document.getAnimations()
          .filter((each) => each.effect.getComputedTiming().endTime !== Infinity)
          .map((each) => each.finished.catch(() => null)))
          .then(() => null)"""
    )
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]


def show_ai_result(page: Page) -> None:
    """From the locked blind read on to the AI's opinion, by key."""
    expect(page.get_by_role("button", name="Show AI result")).to_be_visible()
    image_ready(page)  # the keys are bound by then
    page.keyboard.press("n")
    expect(page.get_by_role("button", name="Show AI result")).to_have_count(0)
