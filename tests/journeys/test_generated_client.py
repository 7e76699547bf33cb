"""A client that openapi-python-client makes of the API's description goes the whole way, typed, over real HTTP."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from uuid import UUID

import pytest

from diagnostics.models import Prediction
from diagnostics.predictions.models import PredictionState
from portal.api.documentation import described
from tests.factories import InstitutionFactory
from tests.portal.api.api_client import token_of

from .bulk_data import DISAGREED, RECIPE, SCANS, box, cast, hand_in_all, head, second_word, truth, wait

pytestmark = [pytest.mark.django_db(transaction=True)]
PACKAGE = "generated_overread_client"
BINARY = {
    "scans.scans_preview_retrieve", "scans.scans_original_retrieve", "scans.scans_pixels_retrieve",
    "scans.scans_images_preview_retrieve", "scans.scans_images_pixels_retrieve", "cases.cases_report_retrieve",
    "predictions.predictions_heatmap_retrieve", "dataset_versions.dataset_versions_manifest_retrieve",
}  # fmt: skip


@pytest.fixture(scope="session")
def generated(tmp_path_factory):
    """The package, made once from the description that the server gives; what the generator printed."""
    folder = tmp_path_factory.mktemp("client")
    description = folder / "openapi.json"
    description.write_text(json.dumps(described(), default=str))
    programs = Path(sys.executable).parent
    made = subprocess.run(
        [programs / "openapi-python-client", "generate", "--path", description, "--output-path", folder / PACKAGE]
        + ["--meta", "none"],
        capture_output=True,
        text=True,
        # The generator formats what it has made by the ruff that it finds.
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
    )
    sys.path.insert(0, str(folder))
    yield made
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


class Generated:
    """The generated functions as one person calls them."""

    def __init__(self, address, user):
        made = importlib.import_module(f"{PACKAGE}.client")
        self.client = made.AuthenticatedClient(
            base_url=address, token=token_of(user), raise_on_unexpected_status=True, timeout=60
        )

    def __call__(self, function, *path, status, body=None, **more):
        """What ``function`` ("scans.scans_list") gives, parsed; the status must be this one."""
        module = importlib.import_module(f"{PACKAGE}.api.{function}")
        if body is not None:
            name, values = body
            more["body"] = getattr(importlib.import_module(f"{PACKAGE}.models"), name)(**values)
        answer = module.sync_detailed(*path, client=self.client, **more)
        assert answer.status_code == status, answer.content
        return answer.parsed


def file_of(data):
    made = importlib.import_module(f"{PACKAGE}.types")
    return made.File(payload=BytesIO(data), file_name="scan.png", mime_type="image/png")


def word(name, code):
    return getattr(importlib.import_module(f"{PACKAGE}.models"), name)(code)


def why(opinion, label):
    """The reason that a final read needs where it differs from the opinion."""
    if opinion is None or opinion.finding.value == label:
        return {}
    return {"reason": word("ReasonEnum", "other"), "comment": "It is a phantom, whatever the AI says."}


@pytest.fixture
def clients_of(generated, live_server):
    """Makes a generated client for each of some people, and closes them all at the end."""
    made = {}

    def make(people):
        made.update({name: Generated(live_server.url, user) for name, user in people.items()})
        return made

    yield make
    for each in made.values():
        each.client.get_httpx_client().close()


def test_everything_is_generated_without_a_warning(generated):
    assert generated.returncode == 0, generated.stderr
    assert "warning" not in (generated.stdout + generated.stderr).lower(), generated.stdout + generated.stderr


def test_scan_is_uploaded_read_and_marked_by_the_generated_client(clients_of, inference_worker):
    bundled = box()
    people = clients_of(cast(InstitutionFactory(code="north")))
    tech, anna = people["tech"], people["anna"]

    upload = ("UploadRequest", {"file": file_of(head(1, True)), "patient": "P-1"})
    scan = tech("scans.scans_create", status=201, body=upload)
    wait(
        lambda: Prediction.objects.filter(scan=scan.id, state=PredictionState.READY).exists(),
        120,
        "no opinion was given",
    )

    claim = anna("cases.cases_next_create", status=200)
    assert isinstance(claim.case, UUID) and claim.scan == scan.id
    blind = {"claim_token": claim.claim_token, "label": word("FindingEnum", "tumour")}
    blind |= {"certainty": word("CertaintyEnum", "certain"), "stage": word("StageEnum", "blind")}
    anna("cases.cases_reads_create", claim.case, status=201, body=("NewReadRequest", blind))
    mark = {"kind": word("MarkKind", "ellipse"), "points": [[34.0, 20.0], [48.0, 34.0]]}
    kept = anna("cases.cases_annotations_create", claim.case, status=201, body=("NewAnnotationRequest", mark))
    assert kept.points == [[34.0, 20.0], [48.0, 34.0]] and kept.revision == 1

    opinion = anna("scans.scans_retrieve", scan.id, status=200).prediction
    assert opinion.model_version.id == bundled.pk
    final = {**blind, "stage": word("StageEnum", "final"), **why(opinion, "tumour")}
    anna("cases.cases_reads_create", claim.case, status=201, body=("NewReadRequest", final))

    assert anna("scans.scans_preview_retrieve", scan.id, status=200).payload.read().startswith(b"\x89PNG")
    assert anna("predictions.predictions_heatmap_retrieve", opinion.id, status=200).payload.read(4) == b"\x89PNG"
    assert anna("cases.cases_report_retrieve", claim.case, status=200).payload.read(5) == b"%PDF-"
    listed = anna("reads.reads_list", status=200, page_size=1)
    further = anna(
        "reads.reads_list", status=200, page_size=1, cursor=listed.next_.partition("cursor=")[2].split("&")[0]
    )
    assert {listed.results[0].stage.value, further.results[0].stage.value} == {"blind", "final"}


@pytest.mark.parametrize("function", sorted(BINARY))
def test_file_is_given_as_bytes(generated, function):
    source = importlib.import_module(f"{PACKAGE}.api.{function}").__file__
    assert "response_200 = File(" in Path(source).read_text()


@pytest.mark.slow
def test_types_for_typescript_pass_its_strict_check(tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    (tmp_path / "openapi.json").write_text(json.dumps(described(), default=str))
    packages = ["openapi-typescript@7", "typescript@5"]
    fetched = subprocess.run(["npm", "install", "--no-audit", "--no-fund", *packages], cwd=tmp_path, timeout=120)
    if fetched.returncode:
        pytest.skip("npm cannot fetch packages here")
    program = tmp_path / "node_modules" / ".bin"
    subprocess.run([program / "openapi-typescript", "openapi.json", "-o", "api.d.ts"], cwd=tmp_path, check=True)
    subprocess.run([program / "tsc", "--strict", "--noEmit", "api.d.ts"], cwd=tmp_path, check=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_generated_client_goes_the_whole_loop(clients_of, settings, inference_worker, training_worker):
    settings.SECOND_ADMINISTRATOR = True
    bundled = box()
    people = cast(InstitutionFactory(code="north"))
    numbers = hand_in_all(people)
    clients = clients_of(people)

    def read_all(client, decide, *, blind=True):
        done = 0
        while (claim := client("cases.cases_next_create", status=204 if done == expected else 200)) is not None:
            said = {"claim_token": claim.claim_token, "label": word("FindingEnum", decide(str(claim.scan)))}
            said |= {"certainty": word("CertaintyEnum", "certain")}
            steps = ["blind", "final"] if blind else ["final"]
            for step in steps:
                if step == "final":
                    opinion = client("scans.scans_retrieve", claim.scan, status=200).prediction if blind else None
                    said |= {"may_train": True, **why(opinion, said["label"].value)}
                body = ("NewReadRequest", {**said, "stage": word("StageEnum", step)})
                client("cases.cases_reads_create", claim.case, status=201, body=body)
            done += 1
        return done

    expected = SCANS
    assert read_all(clients["anna"], lambda scan: truth(numbers[scan])) == SCANS
    assert read_all(clients["bert"], lambda scan: second_word(numbers[scan])) == SCANS
    expected = DISAGREED
    assert read_all(clients["judge"], lambda scan: truth(numbers[scan]), blind=False) == DISAGREED

    keeper, ada, ben = clients["keeper"], clients["ada"], clients["ben"]
    version = keeper("dataset_versions.dataset_versions_create", status=201, body=("FreezeRequest", {}))
    manifest = keeper("dataset_versions.dataset_versions_manifest_retrieve", version.id, status=200)
    assert manifest.payload.read().count(b"\n") >= SCANS
    recipe = {**RECIPE, "augment": word("AugmentEnum", RECIPE["augment"]), "dataset_version": version.id}
    run = keeper("training_runs.training_runs_create", status=202, body=("NewRunRequest", recipe))

    def ended():
        found = keeper("training_runs.training_runs_retrieve", run.id, status=200)
        return found if found.status.value not in ("queued", "running") else None

    wait(ended, 300, "the training did not end")
    done = ended()
    assert done.status.value == "succeeded", done.failure or training_worker.output()
    candidate = done.model_version.id
    assert keeper("model_versions.model_versions_gate_retrieve", candidate, status=200).live == bundled.number
    shown = keeper("model_versions.model_versions_retrieve", candidate, status=200)
    wish = ("PromotionWishRequest", {"reason": "A trial."})
    asked = ada("model_versions.model_versions_promote_create", candidate, status=202, body=wish)
    words = {"exception": "Phantoms only; nobody is harmed.", "name": f"{shown.name} v{shown.number}"}
    ben("promotion_requests.promotion_requests_approve_create", asked.id, status=200, body=("ApprovalRequest", words))
    assert keeper("model_versions.model_versions_retrieve", candidate, status=200).state.value == "live"
