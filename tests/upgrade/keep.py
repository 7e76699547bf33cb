"""Keep the rows of this day's database, for later versions to be upgraded from: ``python -m tests.upgrade.keep``.

Makes an empty installation in a folder of its own, works in it through the services as people do, and writes every
row to ``kept_<migration>.json``. Run it at a state that was released, never to change what was kept before.
"""

import json
import os
import sys
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    os.environ |= {
        "OVERREAD_DATA": tempfile.mkdtemp(prefix="overread-keep-"),
        "OVERREAD_ENV_FILE": "",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
    }
    os.environ.pop("DATABASE_URL", None)
    import django

    django.setup()

from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import serializers
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client

from diagnostics import models as rows
from diagnostics import pipeline
from diagnostics.annotations.services import Change, annotate
from diagnostics.cases.models import Stage
from diagnostics.reviews import comments, double_reading, reading, worklist
from diagnostics.scans.access import Role
from portal.accounts.models import ApiToken, KeptAnswer, OwnKey, Preferences
from tests import factories
from tests.access import world as access

HERE = Path(__file__).parent
# The framework's own, made anew by each migration.
NOT_KEPT = ("contenttypes.contenttype", "auth.permission", "sessions.session")
# Who asks the API for what, so that a later version can be held to the same answers.
VIEWERS = ("radiologist", "data_manager")
RESOURCES = ("patients", "studies", "scans", "predictions", "cases")
TOKEN = "ovr_of-a-database-that-was-kept"


def work() -> access.World:
    """The rows of the access tests, and at least one of every other kind."""
    pipeline.nudge = lambda *_: True
    world = access.build()
    home = rows.Institution.objects.get(code="home")
    people = world.people
    ApiToken.objects.filter(user=people["radiologist"]).update(
        digest=ApiToken.digest_of(TOKEN), expires_at=datetime(2099, 1, 1, tzinfo=UTC)
    )
    _read_through(home, people)
    _learned(home, people)
    _odds_and_ends(home, people)
    return world


def _read_through(home: rows.Institution, people: dict) -> None:
    """Uploads on their whole way: analysed, read blind and finally, amended, marked, commented, undone, read twice."""
    scans = [
        pipeline.submit_scan(
            by=people["technologist"],
            institution=home,
            data=factories.phantom(seed),
            patient=f"P-{seed}",
            accession=f"ACC-{seed}",
        ).scan
        for seed in range(500, 506)
    ]
    rows.Prediction.objects.filter(scan__in=scans).delete()
    for scan in scans:
        factories.PredictionFactory(scan=scan)
    reader, colleague = people["radiologist"], factories.person(Role.RADIOLOGIST, home)
    for number, scan in enumerate(scans):
        case = scan.cases.get()
        claim = worklist.claim(by=reader, case=case)
        said = {"by": reader, "case": case, "claim_token": claim.token, "certainty": "certain"}
        if number == 0:
            reading.save_draft(by=reader, case=case, claim_token=claim.token, entries={"label": "glioma"})
            continue
        change = Change(uuid.uuid4(), 0, "length", [[10.0, 10.0], [40.0, 50.0]], "12 mm")
        annotate(by=reader, case=case, changes=[change])
        reading.record_read(**said, kind="blind", label="glioma")
        if number == 1:
            double_reading.ask_second_opinion(by=reader, case=case, claim_token=claim.token, comment="A cyst?")
            continue
        read = reading.record_read(
            **said, kind="final", label="no_tumour", reason="false_positive", may_train=True, comment="A vessel."
        )
        if number == 2:
            pipeline.undo_read(by=reader, read=read)
        if number == 3:
            reading.amend(
                by=reader, read=read, label="no_tumour", certainty="unsure", reason="artefact",
                comment="Seen again.", may_train=True,
            )  # fmt: skip
        if number == 4:
            comments.comment(by=reader, case=case, text=f"@{colleague.username} look at this")
    second = factories.CaseFactory(
        scan=factories.ScanFactory(institution=home), second_read="asked", stage=Stage.SECOND
    )
    first = factories.ClaimFactory(case=second, holder=reader, ended=True)
    factories.ReadFactory(case=second, reader=reader, claim=first, kind="final")


def _learned(home: rows.Institution, people: dict) -> None:
    """A dataset with items, its training, the model of it in use, what the gate said and what was tested."""
    keeper, chief = people["data_manager"], people["administrator"]
    dataset = factories.DatasetVersionFactory(institution=home)
    for number, read in enumerate(rows.Read.objects.filter(kind="final", may_train=True).order_by("created_at")):
        rows.DatasetItem.objects.get_or_create(
            dataset=dataset, scan=read.case.scan,
            defaults={
                "read": read, "label": read.label, "label_source": "read", "group": f"g{number}", "split": "train"
            },
        )  # fmt: skip
    run = factories.TrainingRunFactory(dataset=dataset, state="succeeded", created_by=keeper)
    produced, live = run.produced, factories.live_model()
    scan = rows.DatasetItem.objects.filter(dataset=dataset).first().scan
    rows.TestedScan.objects.create(
        version=produced, scan=scan, truth="glioma", label="glioma", tumour_probability=0.9, live=live,
        live_label="glioma", live_tumour_probability=0.8,
    )  # fmt: skip
    rules = rows.GateRules.objects.first() or rows.GateRules.objects.create(number=1, rules={}, reason="First.")
    passed = rows.GateResult.objects.create(
        version=produced, live=live, rules=rules, verdict="pass", findings={"rules": []}, test_sha256="0" * 64
    )
    rows.ModelVersion.objects.filter(pk=live.pk).update(state="previous")
    rows.ModelVersion.objects.filter(pk=produced.pk).update(state="live")
    rows.Promotion.objects.create(
        version=produced, former=live, kind="promote", by=chief, reason="Better.", gate="pass", gate_result=passed
    )
    challenger = factories.ModelVersionFactory(state="challenger")
    rows.ShadowOpinion.objects.create(
        scan=scan, model_version=challenger, label="glioma", finding="tumour", probabilities={"tumour": 1.0},
        tumour_probability=1.0, weights_sha256=challenger.sha256,
    )  # fmt: skip
    rows.RuledOut.objects.create(ruling=uuid.uuid4(), scan=scan, label="glioma", reason="Look-alikes.", by=keeper)
    retraining = rows.Retraining.objects.create(set_by=keeper)
    retraining.institutions.add(home)
    rows.ModelAlarm.objects.create(version=challenger)
    for state in ("queued", "running"):
        factories.PredictionFactory(scan=factories.ScanFactory(institution=home), **{state: True})


def _odds_and_ends(home: rows.Institution, people: dict) -> None:
    """What people have set for themselves, a control that waits, a limit that was set."""
    reader = people["radiologist"]
    OwnKey.objects.create(user=reader, page="worklist", action="down", key="n")
    Preferences.objects.create(user=reader, auto_advance=False)
    KeptAnswer.objects.create(
        user=reader, key="k", address="/api/v1/scans/", body_sha256="0" * 64, standing="0" * 64, status=201, body={}
    )
    rows.NotificationChoices.objects.create(user=reader, not_by_mail=["assigned"])
    rows.AlertRule.objects.create(watched="overrides", limit=0.3, owner=people["data_manager"])
    beside = rows.Case.objects.filter(institution=home, state="open").first()
    rows.Control.objects.create(institution=home, beside=beside)
    scan = rows.Scan.objects.filter(institution=home).first()
    LogEntry.objects.create(
        user=people["superuser"], content_type=ContentType.objects.get_for_model(home), object_id=str(home.pk),
        object_repr="home", action_flag=2, change_message="[]",
    )  # fmt: skip
    storages["artifacts"].save(f"kept/{scan.pk}", ContentFile(b"x"))


def kept() -> list[dict]:
    """Every row, as Django's own serializer writes it."""
    found: list[dict] = []
    for model in apps.get_models():
        if model._meta.label_lower not in NOT_KEPT:
            each = model._base_manager.order_by("pk")
            found += serializers.serialize("python", each)
    return found


def answers(world: access.World) -> dict[str, dict[str, Any]]:
    """What the API says of each row to a reader and a data manager, by who asks and address; as of now."""
    found: dict[str, dict[str, Any]] = {}
    for viewer in VIEWERS:
        client = Client(SERVER_NAME="localhost")
        client.force_login(world.people[viewer])
        found[viewer] = {}
        for resource in RESOURCES:
            address = f"/api/v1/{resource}/?page_size=100"
            while address:
                page = client.get(address).json()
                for row in page["results"]:
                    one = f"/api/v1/{resource}/{row['id']}/"
                    found[viewer][one] = client.get(one).json()
                address = page["next"]
    return found


def main() -> None:
    call_command("migrate", interactive=False, verbosity=0)
    newest = sorted(path.stem for path in (Path("diagnostics") / "migrations").glob("[0-9]*.py"))[-1]
    accounts = sorted(path.stem for path in (Path("portal") / "accounts" / "migrations").glob("[0-9]*.py"))[-1]
    with transaction.atomic():
        world = work()
    rows_kept = kept()
    content = {
        "at": {"diagnostics": newest, "accounts": accounts},
        "token": TOKEN,
        "people": {name: user.pk for name, user in world.people.items()},
        "words": world.rows,
        "rows": rows_kept,
        "answers": answers(world),
    }
    target = HERE / f"kept_{newest[:4]}.json"
    encoder = serializers.json.DjangoJSONEncoder
    target.write_text(json.dumps(content, cls=encoder, separators=(",", ":"), sort_keys=True) + "\n")
    print(f"{target}: {len(content['rows'])} rows of {len({row['model'] for row in content['rows']})} kinds")
    empty = [
        model._meta.label
        for model in apps.get_models()
        if model._meta.label_lower not in NOT_KEPT and not model._base_manager.exists()
    ]
    print(f"without a row: {', '.join(empty) or 'none'}")
    connection.close()


if __name__ == "__main__":
    sys.exit(main())
