"""An installation of its own in a folder that is thrown away, with a model, people and scans."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class World:
    """What the measures stand on. ``images`` are files as they were handed in."""

    settings: Any
    version: Any
    model: Path
    by: Any
    institution: Any
    images: list[bytes]
    scans: list[Any]
    source: str


def made(folder: Path, images: Path | None, count: int) -> World:
    """Make model, people and scans; Django is set up on ``folder`` already."""
    from django.conf import settings
    from django.core.management import call_command

    from diagnostics import pipeline
    from diagnostics.predictions.models import Prediction
    from diagnostics.registry import services as registry
    from diagnostics.scans.access import Role
    from diagnostics.scans.models import Institution, Membership
    from portal.accounts.models import User

    call_command("collectstatic", interactive=False, verbosity=0)
    model = folder / "model"
    shutil.copytree(settings.BUNDLED_MODEL, model)
    _with_engine(model)
    version = registry.install_bundled_model(model)
    pipeline.nudge = lambda task, *args: True  # type: ignore[assignment] # no broker runs here
    institution = Institution.objects.create(code="bench", name="Bench")
    by = User.objects.create_user(username="bench")
    for role in (Role.RADIOLOGIST, Role.TECHNOLOGIST):
        Membership.objects.create(user=by, institution=institution, role=role)
    files, source = _images(images, count)
    scans = [
        pipeline.submit_scan(by=by, institution=institution, data=data, patient=f"P-{number}").scan
        for number, data in enumerate(files)
    ]
    Prediction.objects.all().delete()
    return World(settings, version, model, by, institution, files, scans, source)


def _with_engine(model: Path) -> None:
    """A model of before LiteRT was published with it gets it; one that has it stays as it is."""
    from mlcore.networks import artifact

    if artifact.load_servable(model) is None:
        # In a process of its own: TensorFlow takes its number of threads from whoever comes first.
        subprocess.run([sys.executable, "-m", "mlcore", "engine", str(model)], check=True, capture_output=True)


def _images(folder: Path | None, count: int) -> tuple[list[bytes], str]:
    """``count`` different files: real ones where a folder is named, else phantoms drawn by our own code as JPEG."""
    if folder is not None:
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        step = max(1, len(found) // count)
        files = list(dict.fromkeys(path.read_bytes() for path in found[::step]))[:count]
        return files, f"{len(files)} real images"
    import io

    from PIL import Image

    from diagnostics.scans import phantom

    files = []
    for seed in range(count):
        out = io.BytesIO()
        Image.open(io.BytesIO(phantom.as_png(phantom.draw(seed, side=512)))).save(out, "JPEG", quality=90)
        files.append(out.getvalue())
    return files, f"{count} phantoms of 512 × 512 as JPEG"
