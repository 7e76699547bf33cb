"""The API describes itself: completely, validly, offline."""

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from jsonschema import Draft202012Validator

from portal.api.urls import router

OPEN = ("/api/schema/", "/api/docs/")


def described():
    return Client().get("/api/schema/").json()


def test_schema_generates_without_a_warning(tmp_path):
    file = tmp_path / "schema.yml"
    call_command("spectacular", "--fail-on-warn", "--validate", "--file", str(file))
    assert yaml.safe_load(file.read_text())["openapi"].startswith("3.1")


@pytest.mark.django_db
def test_schema_and_docs_are_open_and_name_nobody(north):
    for address in OPEN:
        answer = Client().get(address)
        assert answer.status_code == 200
        assert b"north" not in answer.content


def test_schema_comes_as_json_or_yaml():
    assert Client().get("/api/schema/")["Content-Type"].startswith("application/vnd.oai.openapi+json")
    assert b"openapi: 3.1" in Client().get("/api/schema/?format=yaml").content


def test_every_address_and_method_is_described():
    described_here = {(path, method) for path, item in described()["paths"].items() for method in item}
    for url in router.urls:
        path = "/api/v1/" + str(url.pattern)
        for written, told in (
            ("<uuid:pk>", "{id}"), ("<int:pk>", "{id}"), ("<slug:code>", "{code}"), ("<int:index>", "{index}"),
        ):  # fmt: skip
            path = path.replace(written, told)
        for method in url.callback.actions:
            if method != "head":
                assert (path, method) in described_here


def test_every_operation_tells_its_errors_and_its_key():
    for path, item in described()["paths"].items():
        for method, operation in item.items():
            assert {"400", "401", "403", "429"} <= set(operation["responses"]), path
            # The body of this one names cases.
            assert ("404" in operation["responses"]) == ("{" in path or path.endswith("/cases/assign/")), path
            names = {each["name"] for each in operation.get("parameters", [])}
            assert ("Idempotency-Key" in names) == (method == "post"), path
            if path.count("/") == 4 and method == "get" and "users/me" not in path:
                assert {"cursor", "page_size"} <= names, path


def test_every_default_is_a_value_that_is_accepted():
    document = described()
    defaults = 0
    for name, component in document["components"]["schemas"].items():
        for field, told in component.get("properties", {}).items():
            if "default" in told:
                Draft202012Validator({**told, "components": document["components"]}).validate(told["default"])
                # A client that is generated from this sends it.
                assert told["default"] != "" or told.get("minLength", 0) == 0, (name, field)
                defaults += 1
    assert defaults > 20


def test_description_names_the_server_and_takes_no_field_that_it_does_not_know():
    document = described()
    assert [each["url"] for each in document["servers"]] == ["/"]
    bodies = [content["schema"]["$ref"] for content in request_bodies(document)]
    for body in bodies:
        assert document["components"]["schemas"][body.rpartition("/")[2]]["additionalProperties"] is False, body
    assert len(bodies) > 20


def request_bodies(document):
    for item in document["paths"].values():
        for operation in item.values():
            yield from operation.get("requestBody", {}).get("content", {}).values()


def test_codes_of_the_contract_stand_in_the_schema():
    schemas = described()["components"]["schemas"]
    assert schemas["ScanStatus"]["enum"] == [
        "arriving",
        "queued",
        "analysing",
        "ready",
        "failed",
        "rejected",
        "not_analysed",
    ]
    assert schemas["RunStatus"]["enum"] == ["queued", "running", "succeeded", "failed", "cancelled"]
    assert set(schemas["CertaintyEnum"]["enum"]) == {"certain", "probable", "unsure"}
    assert schemas["PriorityEnum"]["enum"] == ["stat", "urgent", "routine"]


@pytest.mark.parametrize("address", OPEN)
def test_only_looking_is_possible(address):
    for method in ("post", "put", "patch", "delete"):
        assert getattr(Client(), method)(address).status_code == 405


def test_docs_policy_differs_only_in_data_images():
    strict, docs = (
        Client().get(address)["Content-Security-Policy"] for address in ("/accounts/sign-in/", "/api/docs/")
    )
    assert "script-src 'self'" in docs
    assert "style-src 'self'" in docs
    assert sorted(docs.replace("img-src 'self' data:", "img-src 'self'").split("; ")) == sorted(strict.split("; "))


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_docs_render_offline_without_any_violation(live_server, page):
    complaints, foreign = [], []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: foreign.append(asked.url) if not asked.url.startswith(live_server.url) else None)
    page.goto(f"{live_server.url}/api/docs/")
    page.wait_for_selector(".opblock", timeout=60_000)
    page.locator(".opblock-summary-control").first.click()
    page.wait_for_selector(".parameters", timeout=20_000)
    assert page.locator(".opblock").count() >= 40
    assert complaints == []
    assert [url for url in foreign if not url.startswith("data:")] == []
