"""What both walks through the learning loop share: the people, sixty heads whose answer is known, and waiting."""

import io
import re
import time
from collections.abc import Callable

import numpy as np
from django.conf import settings
from PIL import Image
from rest_framework.test import APIClient

from diagnostics.models import ModelVersion, Scan
from diagnostics.registry import services as registry
from diagnostics.scans.access import Role
from diagnostics.scans.models import Institution, SecondReader
from portal.accounts.models import User
from tests import processes
from tests.diagnostics.test_datasets import look
from tests.factories import person, phantom
from tests.portal.api.api_client import bearer, hand_in, results

SCANS = 60
DISAGREED = 6  # on the first so many the second reader is wrong
# A network that learns in seconds: what it is worth is of no interest here.
RECIPE = {"epochs": 2, "batch_size": 8, "augment": "none"}
_OTHER = {"tumour": "no_tumour", "no_tumour": "tumour"}
_CAST = {
    "tech": Role.TECHNOLOGIST,
    "anna": Role.RADIOLOGIST,
    "bert": Role.RADIOLOGIST,
    "judge": Role.ADJUDICATOR,
    "keeper": Role.DATA_MANAGER,
    "ada": Role.ADMINISTRATOR,
    "ben": Role.ADMINISTRATOR,
}


def head(seed: int, tumour: bool) -> bytes:
    """A phantom, with a large bright mass where there is a tumour."""
    image = np.asarray(Image.open(io.BytesIO(phantom(seed)))).copy()
    if tumour:
        image[20:34, 34:48] = 250
    out = io.BytesIO()
    Image.fromarray(image).save(out, format="PNG")
    return out.getvalue()


def cast(place: Institution) -> dict[str, User]:
    """Who takes part, by name, in an institution where every case is read twice."""
    place.second_reader = SecondReader.ALL
    place.save()
    desk = (Role.DATA_MANAGER, Role.ADMINISTRATOR)
    return {name: person(role, place, username=name, is_staff=role in desk) for name, role in _CAST.items()}


def box() -> ModelVersion:
    """The bundled model, in use."""
    return registry.install_bundled_model(settings.BUNDLED_MODEL)


def hand_in_all(people: dict[str, User]) -> dict[str, int]:
    """Hand the heads in, of a patient each, and wait until all are analysed; each scan's number by its id."""
    tech, numbers = bearer(people["tech"]), {}
    for number in range(SCANS):
        answer = hand_in(tech, head(number, truth(number) == "tumour"), patient=f"P-{number}", accession=_name(number))
        numbers[answer.json()["id"]] = number
    keeper = bearer(people["keeper"])
    wait(lambda: _analysed(keeper) == SCANS, 240, "the scans were not analysed")
    for scan, number in numbers.items():
        # Phantoms look alike; as far as the split is concerned these shall not.
        Scan.objects.filter(pk=scan).update(fingerprint=look(number))
    return numbers


def truth(number: int) -> str:
    """What the first reader and the adjudicator say."""
    return "tumour" if number % 2 == 0 else "no_tumour"


def second_word(number: int) -> str:
    """What the second reader says."""
    return _OTHER[truth(number)] if number < DISAGREED else truth(number)


def number_of(accession: str) -> int:
    """Which of the sixty has this accession number."""
    return int(re.fullmatch(r"ACC-(\d+)", accession)[1])  # type: ignore[index]


def _name(number: int) -> str:
    return f"ACC-{number}"


def _analysed(client: APIClient) -> int:
    return sum(row["status"] in ("ready", "rejected", "failed") for row in results(client, "scans/", page_size=200))


def wait(happened: Callable[[], object], seconds: float, otherwise: str) -> None:
    """Ask now and then: each question costs the worker that it waits for as much time as it takes to answer."""
    processes.wait(lambda: happened() or time.sleep(0.5), seconds, otherwise)
