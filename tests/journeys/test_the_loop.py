"""The whole loop over the REST API, with real workers: sixty scans, two readers, a dataset, a model, and back."""

import pytest

from diagnostics import tasks
from diagnostics.models import ShadowOpinion
from tests.factories import InstitutionFactory
from tests.portal.api.api_client import V1, assert_problem, bearer, hand_in, results

from .bulk_data import DISAGREED, RECIPE, SCANS, box, cast, hand_in_all, head, second_word, truth, wait

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(900)]


def post(client, path, status, **body):
    answer = client.post(f"{V1}/{path}", body, format="json")
    assert answer.status_code == status, answer.content
    return answer.json() if answer.content else None


def state_of(client, path):
    return client.get(f"{V1}/{path}").json()


def read_all(client, word, *, blind=True):
    """Claim and read whatever waits, blind first and then having seen the AI's opinion; how many cases that were."""
    done = 0
    while (answer := client.post(f"{V1}/cases/next/")).status_code == 200:
        claim = answer.json()
        said = {"claim_token": claim["claim_token"], "label": word(claim["scan"]), "certainty": "certain"}
        here = f"cases/{claim['case']}/reads/"
        if blind:
            if not done:
                assert predicted(client, claim["scan"]) is None, "the AI's opinion is kept from a blind reader"
            post(client, here, 201, stage="blind", **said)
            if not done:
                assert predicted(client, claim["scan"]), "and shown when the blind read is locked"
            said |= {"reason": "other", "comment": "It is a phantom, whatever the AI says."}
        post(client, here, 201, stage="final", may_train=True, **said)
        done += 1
    return done


def predicted(client, scan):
    return state_of(client, f"scans/{scan}/")["prediction"]


def test_decisions_of_two_readers_become_a_model_in_use_and_the_former_comes_back(
    settings, inference_worker, training_worker
):
    settings.SECOND_ADMINISTRATOR = True
    bundled = box()
    people = cast(InstitutionFactory(code="north"))
    tech, anna, bert, judge, keeper, ada, ben = map(bearer, people.values())

    # Handed in and analysed by the bundled model; read by two, who disagree on some; those are settled.
    numbers = hand_in_all(people)
    assert read_all(anna, lambda scan: truth(numbers[scan])) == SCANS
    assert read_all(bert, lambda scan: second_word(numbers[scan])) == SCANS
    assert read_all(judge, lambda scan: truth(numbers[scan]), blind=False) == DISAGREED

    # Frozen: every label is a reader's word, the settled ones told apart.
    version = post(keeper, "dataset-versions/", 201)
    counts = version["counts"]
    assert counts["by_label"] == {"tumour": SCANS // 2, "no_tumour": SCANS // 2}
    assert counts["by_label_source"]["adjudicated"] == DISAGREED
    assert sum(counts["by_label_source"].values()) == SCANS

    # Trained, and judged by the gate on a test part that is too small to say much.
    run = post(keeper, "training-runs/", 202, dataset_version=version["id"], **RECIPE)
    here = f"training-runs/{run['id']}/"
    wait(lambda: state_of(keeper, here)["status"] not in ("queued", "running"), 300, "it did not end")
    run = state_of(keeper, here)
    assert run["status"] == "succeeded", run["failure"] or training_worker.output()
    candidate = f"model-versions/{run['model_version']['id']}"
    said = state_of(keeper, f"{candidate}/gate/")
    assert (said["verdict"], said["passed"], said["live"]) == ("too_few", False, bundled.number)

    # In the shadow: a live case is scored by both, and only the model in use is shown.
    post(keeper, f"{candidate}/challenge/", 200)
    live_case = hand_in(tech, head(700, True), patient="P-700").json()["id"]
    wait(lambda: predicted(keeper, live_case), 120, "the model in use gave no opinion")
    tasks.score_in_the_shadow.delay()
    wait(ShadowOpinion.objects.exists, 120, "the challenger gave no opinion")
    assert str(ShadowOpinion.objects.get().scan_id) == live_case
    assert predicted(keeper, live_case)["model_version"]["id"] == str(bundled.pk)

    # Promoted by two: nobody approves alone, and what the gate has not passed needs a written exception.
    asked = post(ada, f"{candidate}/promote/", 202, reason="A trial.")
    approve = f"promotion-requests/{asked['id']}/approve/"
    assert_problem(ada.post(f"{V1}/{approve}", {"exception": "Mine."}, format="json"), 409)
    assert_problem(ben.post(f"{V1}/{approve}", {}, format="json"), 400)
    name = "{name} v{number}".format(**state_of(keeper, f"{candidate}/"))
    post(ben, approve, 200, exception="Phantoms only; nobody is harmed.", name=name)
    assert state_of(keeper, f"{candidate}/")["state"] == "live"
    next_scan = hand_in(tech, head(701, True), patient="P-701").json()["id"]
    wait(lambda: predicted(keeper, next_scan), 120, "the new model gave no opinion")
    assert predicted(keeper, next_scan)["model_version"]["id"] == run["model_version"]["id"]

    # And back.
    assert post(ada, "model-versions/rollback/", 200, reason="The trial is over.")["id"] == str(bundled.pk)
    last = hand_in(tech, head(702, False), patient="P-702").json()["id"]
    wait(lambda: predicted(keeper, last), 120, "the former model gave no opinion")
    assert predicted(keeper, last)["model_version"]["id"] == str(bundled.pk)
    acts = {row["act"] for row in results(ada, "audit-events/")}
    assert acts >= {"dataset_frozen", "training_queued", "gate_judged", "model_promoted", "model_rolled_back"}
