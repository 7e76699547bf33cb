"""The pages in a real browser against a real server: first image, window by dragging, bytes, five cases by keyboard.

    python -m benchmarks.browser        # needs a Chromium and the tests' packages; writes benchmarks/browser.md

Everything runs on this machine in a folder that is thrown away: gunicorn as ``make run`` starts it, static files under
hashed names, synthetic scans. Milliseconds on a shared machine mean little; each stands beside what the same browser
takes for less in the same minute.
"""

import argparse
import io
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
READY = "[data-viewer][data-state=ready]"
PARTS = ("day", "first", "frames", "weights")
PASSWORD = "not-a-secret-of-anybody"
# When the image was drawn, in milliseconds since the navigation began.
WATCH = """
document.addEventListener('DOMContentLoaded', () => {
  const viewer = document.querySelector('[data-viewer]');
  if (!viewer) return;
  const look = (_changes, watcher) => {
    if (viewer.dataset.state !== 'ready') return;
    watcher.disconnect();
    // The frame in which it is drawn, and the one after it, which begins when that one is on the screen.
    requestAnimationFrame(() => requestAnimationFrame(() => { viewer.dataset.drawnAt = performance.now(); }));
  };
  const watcher = new MutationObserver(look);
  watcher.observe(viewer, { attributes: true, attributeFilter: ['data-state'] });
  look(null, watcher); // an image fetched ahead may be drawn before this runs
});
"""
# A drag of three seconds, one movement a frame; and the same frames with nothing to do.
DRAG = """(works) => new Promise((done) => {
  const canvas = document.querySelector('[data-canvas]');
  const box = canvas.getBoundingClientRect();
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  const tell = (type, dx, dy) => canvas.dispatchEvent(new PointerEvent(type, {
    bubbles: true, pointerId: 1, button: 0, buttons: 1, clientX: x + dx, clientY: y + dy, isPrimary: true }));
  canvas.setPointerCapture = () => {};
  const frames = [];
  let last = 0;
  if (works) tell('pointerdown', 0, 0);
  const frame = (now) => {
    if (last) frames.push(now - last);
    last = now;
    const turn = frames.length / 20;
    if (works) tell('pointermove', 120 * Math.sin(turn), 80 * Math.cos(turn));
    if (frames.length < 180 && frames.reduce((sum, each) => sum + each, 0) < 3000) requestAnimationFrame(frame);
    else {
      if (works) tell('pointerup', 0, 0);
      done(frames);
    }
  };
  requestAnimationFrame(frame);
})"""
# What the page itself does for one frame, without the browser's own share.
WORK = """async (module) => {
  const { GreyPainter } = await import(module);
  const [side, count] = [1024, 60];
  const pixels = Uint16Array.from({ length: side * side }, (_, i) => (i * 2654435761) % 4096);
  const painter = new GreyPainter({ pixels, slope: 1, intercept: 0 });
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = side;
  const context = canvas.getContext('2d');
  const data = context.createImageData(side, side);
  const words = new Uint32Array(data.data.buffer);
  const times = [];
  for (let i = 0; i < count; i += 1) {
    const begun = performance.now();
    painter.paint(words, { centre: 2048, width: 1000 + 10 * i, voi: 'LINEAR' }, false);
    context.putImageData(data, 0, 0);
    times.push(performance.now() - begun);
  }
  return times;
}"""


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.browser", description=__doc__.split("\n\n")[0])
    asked.add_argument("--note", default="", help="what else the machine was doing, in words")
    asked.add_argument("--rounds", type=int, default=7)
    asked.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    asked.add_argument("--shots", type=Path, help="a folder for a picture of each page")
    asked.add_argument("--out", type=Path, default=Path(__file__).parent / "browser.md")
    wish = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="overread-bench-") as folder:
        lines = list(measured(Path(folder), wish))
    wish.out.write_text("\n".join(lines) + "\n")
    print(f"Written to {wish.out}.")


def measured(folder: Path, wish: argparse.Namespace) -> Iterator[str]:
    """The lines of the results, each printed as it comes."""
    for name in ("DATABASE_URL", "REDIS_URL", "AWS_STORAGE_BUCKET_NAME", "OVERREAD_PRODUCTION", "DEBUG"):
        os.environ.pop(name, None)
    os.environ |= {
        "OVERREAD_DATA": str(folder), "OVERREAD_ENV_FILE": "", "OVERREAD_LOG_LEVEL": "ERROR",
        "DJANGO_SETTINGS_MODULE": "portal.settings", "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
    }  # fmt: skip
    import django

    django.setup()
    from playwright.sync_api import sync_playwright

    from tests.processes import chromium

    cases = world(wish.rounds)
    with served(folder) as address, sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium(), args=[*flags, "--disable-dev-shm-usage"])
        for line in report(browser, address, cases, wish):
            print(line, flush=True)
            yield line


def world(rounds: int) -> dict[str, list[Any]]:
    """People, a model and cases: ``small`` of 512 × 512 in 8 bits, ``large`` of 1024 × 1024 in 16, ``day`` to read."""
    from django.core.management import call_command

    from diagnostics import pipeline
    from diagnostics.models import Case, Prediction
    from diagnostics.predictions.models import PredictionState
    from diagnostics.registry import services as registry
    from diagnostics.scans.access import Role
    from diagnostics.scans.models import Institution, Membership
    from portal.accounts.models import User

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    from django.conf import settings

    registry.install_bundled_model(settings.BUNDLED_MODEL)
    pipeline.nudge = lambda task, *args: True  # type: ignore[assignment] # no broker runs here
    place = Institution.objects.create(code="bench", name="Bench")
    by = User.objects.create_user(username="bench", password=PASSWORD)
    for role in (Role.RADIOLOGIST, Role.TECHNOLOGIST):
        Membership.objects.create(user=by, institution=place, role=role)
    made: dict[str, list[Any]] = {"day": [], "small": [], "large": []}
    for kind, count, side, bits in (("day", 5, 512, 8), ("small", rounds, 512, 8), ("large", rounds, 1024, 16)):
        for number in range(count):
            data = picture(len(made[kind]) + 100 * side, side, bits)
            scan = pipeline.submit_scan(
                by=by, institution=place, data=data, patient=f"P-{kind}-{number}", accession=f"{kind}-{number}"
            ).scan
            made[kind].append(Case.objects.get(scan=scan))
    chances = {"no_tumour": 0.06, "glioma": 0.94}
    from django.utils import timezone

    Prediction.objects.update(
        state=PredictionState.READY, finished_at=timezone.now(), label="glioma", finding="tumour",
        probabilities=chances, tumour_probability=0.94,
    )  # fmt: skip
    return made


def picture(seed: int, side: int, bits: int) -> bytes:
    """A phantom as PNG with ``bits`` a pixel."""
    import numpy as np
    from PIL import Image

    from diagnostics.scans import phantom

    drawn = phantom.draw(seed, side=side)
    if bits == 8:
        return phantom.as_png(drawn)
    noise = np.random.default_rng(seed).integers(0, 16, drawn.shape)
    out = io.BytesIO()
    Image.fromarray((np.asarray(drawn).astype(np.uint16) * 256 + noise).astype(np.uint16)).save(out, "PNG")
    return out.getvalue()


class served:
    """gunicorn on a free port, as ``make run`` starts it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]

    def __enter__(self) -> str:
        command = [sys.executable, "-m", "gunicorn", "-c", "portal/start/gunicorn_conf.py", "portal.wsgi:application"]
        self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PORT": str(self.port)})
        address = f"http://127.0.0.1:{self.port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/healthz", timeout=2)
                return address
            except OSError:
                time.sleep(0.2)
        raise RuntimeError("The server did not answer within a minute.")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)


def said(times: list[float]) -> str:
    return f"**{statistics.median(times):.0f}** ({min(times):.0f} to {max(times):.0f})"


def report(browser: Any, address: str, cases: dict[str, list[Any]], wish: argparse.Namespace) -> Iterator[str]:
    """All measures, in the order of a reader's day."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    yield "# The pages in a browser"
    yield ""
    yield "Written by `python -m benchmarks.browser`: headless Chromium without a graphics card, gunicorn and SQLite"
    yield "on the same cores. Medians, and the ends in brackets."
    yield ""
    yield f"- when: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {os.cpu_count()} cores; Chromium {browser.version}"
    yield f"- load average at the start: {load}" + (f"; running beside: {wish.note}" if wish.note else "")
    context = signed_in(browser, address)
    page = context.new_page()
    parts = {
        "day": lambda: keyboard_day(page, address),
        "first": lambda: first_images(page, address, cases),
        "frames": lambda: frames(page, address, cases["large"][0]),
        "weights": lambda: weights(context, address, cases["small"][-1], wish.shots),
    }
    for name in PARTS:
        if name in wish.only:
            yield from parts[name]()


def signed_in(browser: Any, address: str) -> Any:
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(60_000)
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto("/accounts/sign-in/")
    page.get_by_label("Name", exact=False).first.fill("bench")
    page.locator("input[type=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/worklist/**")
    page.close()
    return context


def keyboard_day(page: Any, address: str) -> Iterator[str]:
    """Five cases by keyboard alone: what is pressed, and the seconds that each took."""
    yield from ["", "## Five cases by keyboard alone", ""]
    yield "Each key is pressed as soon as the page can take it; a reader's own looking comes on top."
    yield from ["", "| case | keys | seconds |", "|---|---|---|"]
    page.goto("/worklist/")
    begun = time.monotonic()
    pressed = ["n"]
    page.keyboard.press("n")
    whole = begun
    for number in range(5):
        page.wait_for_selector(f"{READY} >> nth=0")
        page.wait_for_selector("[aria-current=step]:has-text('Your read')")
        steps = [("2", "8", "n"), ("k", "t", "n")]
        if number == 2:  # another label than the AI's, with a reason and a word about it
            steps = [("1", "9", "n"), ("k", "y", "The AI saw", "Escape", "m", "A vessel.", "Escape", "n")]
        for at, keys in enumerate(steps):
            if at:
                page.wait_for_selector("[aria-current=step]:has-text('Final read')")
                page.wait_for_selector(READY)
            for key in keys:
                if len(key) > 1 and key != "Escape":
                    page.keyboard.type(key)
                else:
                    page.keyboard.press(key)
                pressed.append(f"“{key}”" if len(key) > 1 and key != "Escape" else key)
        page.wait_for_selector("text=Read recorded")
        now = time.monotonic()
        yield f"| {number + 1} | {' '.join(pressed)} | {now - begun:.1f} |"
        begun, pressed = now, []
    yield f"| all | | {begun - whole:.1f} |"


def first_images(page: Any, address: str, cases: dict[str, list[Any]]) -> Iterator[str]:
    """From the beginning of the navigation to the image on the screen, beside a page that has none."""
    yield from [
        "",
        "## First image",
        "",
        "Milliseconds from the beginning of the navigation until the image is drawn.",
    ]
    yield from [
        "",
        "| | drawn | of that the server's first byte | a page without an image (account), loaded | ratio |",
    ]
    yield "|---|---|---|---|---|"
    plain: list[float] = []
    waited: list[float] = []

    def account() -> None:
        page.goto("/accounts/")
        plain.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))

    def drawn(case: Any) -> float:
        page.goto(f"/cases/{case.pk}/")
        page.wait_for_selector("[data-drawn-at]")
        waited.append(page.evaluate("performance.getEntriesByType('navigation')[0].responseStart"))
        return float(page.get_attribute("[data-drawn-at]", "data-drawn-at"))

    names = {"small": "512 × 512, 8 bits", "large": "1024 × 1024, 16 bits"}
    for kind, name in names.items():
        times: dict[str, list[float]] = {"never seen before": [], "fetched ahead or seen before": []}
        plain.clear()
        waited.clear()
        for case in cases[kind]:
            account()
            times["never seen before"].append(drawn(case))
            account()
            times["fetched ahead or seen before"].append(drawn(case))
        for how, found in times.items():
            ratio = statistics.median(found) / statistics.median(plain)
            yield f"| {name}, {how} | {said(found)} | {said(waited)} | {said(plain)} | {ratio:.2f} |"


def frames(page: Any, address: str, case: Any) -> Iterator[str]:
    """Window by dragging at 1024 × 1024: frames a second, beside the same frames with nothing to do."""
    page.goto(f"/cases/{case.pk}/")
    page.wait_for_selector(READY)
    idle, dragging = [], []
    for works in (False, True, True, False):
        (dragging if works else idle).extend(page.evaluate(DRAG, works))
    module = page.evaluate(
        """performance.getEntriesByType('resource').map(({ name }) => name)
          .find((name) => name.includes('/viewer/window'))"""
    )
    work = sorted(page.evaluate(WORK, module))
    yield from ["", "## Window by dragging, 1024 × 1024, 16 bits", ""]
    yield "| | frames a second | longest 5 % of frames, ms |"
    yield "|---|---|---|"
    for name, found in (("dragging", dragging), ("nothing to do", idle)):
        slow = sorted(found)[int(len(found) * 0.95)]
        yield f"| {name} | {1000 * len(found) / sum(found):.1f} | {slow:.1f} |"
    yield ""
    yield (
        f"Of the 16.7 ms of a frame the page's own work (all grey values anew, into the canvas) takes "
        f"**{statistics.median(work):.1f}** ms (95 %: {work[int(len(work) * 0.95)]:.1f})."
    )


def weights(context: Any, address: str, case: Any, shots: Path | None) -> Iterator[str]:
    """Requests and bytes of each page, when nothing is in the cache and when it was here before."""
    yield from ["", "## Requests and bytes", "", "As sent, compressed; warm is the second visit."]
    yield from ["", "| page | requests, cold | kB, cold | requests, warm | kB, warm |", "|---|---|---|---|---|"]
    addresses = {
        "sign in": "/accounts/sign-in/", "worklist": "/worklist/", "reading": f"/cases/{case.pk}/",
        "hand in": "/scans/hand-in/", "scans": "/scans/", "patients": "/patients/", "my reads": "/my-reads/",
        "account": "/accounts/", "keys": "/accounts/keys/",
    }  # fmt: skip
    from django.urls import reverse

    addresses["hand in"], addresses["scans"] = reverse("uploads:hand-in"), reverse("uploads:list")
    addresses["patients"], addresses["my reads"] = reverse("history:patients"), reverse("history:my-reads")
    for name, path in addresses.items():
        cookies = [] if name == "sign in" else context.cookies()
        fresh = context.browser.new_context(base_url=address, viewport={"width": 1280, "height": 800})
        fresh.add_cookies(cookies)
        page = fresh.new_page()
        watching = fresh.new_cdp_session(page)
        watching.send("Network.enable")
        sent: list[float] = []
        # What a cache answered has no bytes.
        watching.on(
            "Network.loadingFinished",
            lambda event, sent=sent: sent.append(event["encodedDataLength"]) if event["encodedDataLength"] else None,
        )
        cells = []
        for _visit in range(2):
            sent.clear()
            page.goto(path, wait_until="load")
            page.wait_for_timeout(900)
            cells += [str(len(sent)), f"{sum(sent) / 1000:.0f}"]
        if shots:
            picture_of(page, fresh, address, shots / name.replace(" ", "-"))
        fresh.close()
        yield f"| {name} | {' | '.join(cells)} |"


def picture_of(page: Any, context: Any, address: str, path: Path) -> None:
    """The page dark and light, at 1280 and 390 wide."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for theme in ("dark", "light"):
        context.add_cookies([{"name": "theme", "value": theme, "url": address}])
        for width, height in ((1280, 800), (390, 780)):
            page.set_viewport_size({"width": width, "height": height})
            page.reload(wait_until="load")
            page.wait_for_timeout(600)
            page.screenshot(path=f"{path}-{theme}-{width}.png")


if __name__ == "__main__":
    sys.exit(main())
