"""One institution with a row of everything, its people, and strangers with the same roles elsewhere."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.test import Client
from django.utils import timezone

from diagnostics.audit.services import record
from diagnostics.models import Alert, DatasetPlan, PromotionRequest
from diagnostics.reviews import double_reading, worklist
from diagnostics.scans.access import Role
from diagnostics.webhooks import events
from diagnostics.webhooks.models import EventType
from portal.accounts.models import Scope, User, issue_token
from tests.factories import (
    CaseFactory,
    ClaimFactory,
    DatasetVersionFactory,
    InstitutionFactory,
    ModelVersionFactory,
    PredictionFactory,
    ReadFactory,
    ScanFactory,
    TrainingRunFactory,
    UserFactory,
    answers_for_the_model,
    live_model,
    person,
)
from tests.webhook_receiver import webhook_at

ROLES = [role.value for role in Role]


@dataclass
class World:
    """``people`` by viewpoint, ``rows`` by the word that the table uses for them."""

    people: dict[str, User] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)

    def client(self, viewpoint: str, *, token: bool) -> Client:
        """A client that asks as ``viewpoint``: by token, or by the session that was opened when the world was made."""
        client = Client(raise_request_exception=False)
        if viewpoint == "nobody":
            return client
        if token:
            client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {self.tokens[viewpoint]}"
        else:
            client.cookies[settings.SESSION_COOKIE_NAME] = self.sessions[viewpoint]
        return client

    def sign_everybody_in(self) -> None:
        """Tokens and sessions for all; whoever is deactivated afterwards got theirs while they still could."""
        ends = timezone.now() + timedelta(days=1)
        for viewpoint, user in self.people.items():
            self.tokens[viewpoint] = issue_token(user=user, name="test", scopes=list(Scope.values), expires_at=ends)[1]
            client = Client()
            client.force_login(user)
            self.sessions[viewpoint] = client.cookies[settings.SESSION_COOKIE_NAME].value


def build() -> World:
    """The home institution's rows, its people, the strangers, and those who belong nowhere."""
    world = World()
    home, away = InstitutionFactory(code="home"), InstitutionFactory(code="away")
    for role in ROLES:
        world.people[role] = person(role, home)
        world.people[f"foreign {role}"] = person(role, away)
    for role in (Role.DATA_MANAGER, Role.ADMINISTRATOR):
        answers_for_the_model(world.people[role])
    world.people["nowhere"] = UserFactory()
    world.people["superuser"] = UserFactory(is_superuser=True, is_staff=True)
    world.people["deactivated"] = person(Role.ADMINISTRATOR, home)
    world.sign_everybody_in()
    User.objects.filter(pk=world.people["deactivated"].pk).update(is_active=False)
    _scans(world, home)
    _disagreements(world, home)
    _learning(world, home)
    with transaction.atomic():
        world.rows["event"] = record(by=None, act="case_opened", target=world.rows["case"], institution=home).pk
    world.rows |= {"institution": home.code, "case": world.rows["case"].pk}
    hook, _secret = webhook_at("https://example.org/", institution=home)
    with transaction.atomic():
        (delivery,) = events.queue([hook], EventType.TEST, subject="test", data={})
    world.rows["hook"], world.rows["delivery"] = hook.pk, delivery.pk
    view = worklist.save_view(by=world.people["radiologist"], name="Urgent", query="tab=unclaimed&priority=1")
    world.rows["view"] = view.pk
    world.rows["session"] = world.people["radiologist"].open_sessions.get().pk
    world.rows["token"] = world.people["radiologist"].api_tokens.get().pk
    return world


def _scans(world: World, home: Any) -> None:
    reader = world.people["radiologist"]
    live_model()
    scan = ScanFactory(institution=home)
    heat = default_storage.save("heatmaps/access.png", ContentFile(b"\x89PNG heat"))
    world.rows["scan"], world.rows["patient"], world.rows["study"] = scan.pk, scan.patient_id, scan.study_id
    world.rows["prediction"] = PredictionFactory(scan=scan, heatmap=heat).pk
    world.rows["case"] = CaseFactory(scan=scan)
    failed = ScanFactory(institution=home)
    PredictionFactory(scan=failed, failed=True)
    CaseFactory(scan=failed)
    world.rows["failed"] = failed.pk
    held = CaseFactory(scan=ScanFactory(institution=home))
    claim = ClaimFactory(case=held, holder=reader)
    world.rows["held"], world.rows["claim_token"] = held.pk, str(claim.token)
    done = CaseFactory(scan=ScanFactory(institution=home), done=True)
    world.rows["done"] = done.pk
    world.rows["read"] = ReadFactory(case=done, reader=reader, final=True).pk


def _disagreements(world: World, home: Any) -> None:
    """A case that its adjudicator holds, and one that they returned to the reader, who has claimed it again."""
    reader, colleague, judge = world.people["radiologist"], person(Role.RADIOLOGIST, home), world.people["adjudicator"]
    for word in ("settled", "returned"):
        case = CaseFactory(scan=ScanFactory(institution=home), stage="adjudication", second_read="policy")
        for stage, who, label in (("first", reader, "glioma"), ("second", colleague, "no_tumour")):
            ended = ClaimFactory(case=case, holder=who, stage=stage, ended=True)
            ReadFactory(case=case, reader=who, claim=ended, kind="final", stage=stage, label=label)
        claim = ClaimFactory(case=case, holder=judge, stage="adjudication")
        world.rows[word] = case.pk
        if word == "settled":
            world.rows["settling_token"] = str(claim.token)
        else:
            double_reading.return_case(by=judge, case=case, claim_token=claim.token, reader="a", comment="Look again.")
            world.rows["notification"] = reader.notifications.get(case=case, kind="returned").pk
            ClaimFactory(case=case, holder=reader)


def _learning(world: World, home: Any) -> None:
    dataset = DatasetVersionFactory(institution=home)
    world.rows["dataset"] = dataset.pk
    world.rows["plan"] = DatasetPlan.objects.create(by=world.people[Role.DATA_MANAGER], key="0" * 64, wanted={}).pk
    world.rows["run"] = TrainingRunFactory(dataset=dataset).pk
    world.rows["model"] = ModelVersionFactory(card="# A card").pk
    world.rows["alert"] = Alert.objects.create(
        watched="overrides", institution=home, model_version=live_model(), value=0.5, limit=0.2, n=40
    ).pk
    world.rows["asked"] = PromotionRequest.objects.create(
        version=ModelVersionFactory(),
        proposed_by=person(Role.DATA_MANAGER, home),
        reason="Better.",
        expires_at=timezone.now() + timedelta(days=1),
    ).pk
