"""Overread under a part of an address, behind a real proxy that passes that part on, and one that cuts it off."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from diagnostics.scans.access import Role
from portal.accounts.models import Scope, User
from portal.accounts.services import issue_token
from tests import processes
from tests.factories import PASSWORD, CaseFactory, InstitutionFactory, ScanFactory, UserFactory, live_model, person
from tests.web import Answer, Browser, Web, free_port

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = "/overread"
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
PAGES = ("/worklist/", "/scans/", "/scans/hand-in/", "/history/patients/", "/notifications/", "/accounts/",
         "/history/audit/", "/lab/", "/lab/monitor/", "/api/docs/", "/nowhere/")  # fmt: skip
ADDRESS = re.compile(r"""(?:\s)([a-z-]+)=["'](/[^"']*)["']""")
CONFIGURATION = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto http;
    server {{ listen 127.0.0.1:{passing}; location {root}/ {{ proxy_pass http://127.0.0.1:{web}; }} }}
    server {{ listen 127.0.0.1:{cutting}; location {root}/ {{ proxy_pass http://127.0.0.1:{web}/; }} }}
}}
"""


@pytest.fixture(scope="module")
def ports(django_db_setup, tmp_path_factory) -> Iterator[tuple[Web, dict[str, int]]]:  # type: ignore[no-untyped-def]
    if NGINX is None:
        pytest.skip("no nginx was found: `sudo apt install nginx-light` lets this test run")
    folder = Path(tmp_path_factory.mktemp("nginx"))
    kinds = {"passing": free_port(), "cutting": free_port()}
    with Web(SCRIPT_NAME=ROOT, OVERREAD_BEHIND_PROXY="1", OVERREAD_WEB_PROCESSES="1") as web:
        (folder / "conf").write_text(CONFIGURATION.format(folder=folder, root=ROOT, web=web.port, **kinds))
        proxy = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "conf")], stderr=subprocess.DEVNULL)
        try:
            for port in kinds.values():
                processes.wait(lambda port=port: listens(port), 20, "nginx did not answer")  # type: ignore[misc]
            yield web, kinds
        finally:
            processes.stop(proxy)


def listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def addresses(page: Answer) -> set[str]:
    """Every address of this host in a page: links, forms, files, and what scripts and htmx will ask for."""
    return {value.replace("&amp;", "&") for _, value in ADDRESS.findall(page.text)}


@pytest.mark.parametrize("kind", ["passing", "cutting"])
def test_every_address_leads_to_where_overread_is(ports, kind: str) -> None:  # type: ignore[no-untyped-def]
    _web, numbers = ports
    live_model()
    home = InstitutionFactory()
    for _ in range(3):
        CaseFactory(scan=ScanFactory(institution=home))
    people = [person(Role.ADMINISTRATOR, home), UserFactory(is_superuser=True, is_staff=True)]
    User.objects.update(password=make_password(PASSWORD, hasher="argon2"))
    visitor, chief = Browser(numbers[kind]), Browser(numbers[kind])
    door = visitor.get(f"{ROOT}/accounts/sign-in/")
    assert door.status == 200
    for browser, user in zip((visitor, chief), people, strict=True):
        answer = browser.sign_in(user.username, PASSWORD, ROOT)
        assert (answer.status, answer.header("Location")) == (302, f"{ROOT}/")
        assert {place for _, place in browser.cookies.values()} == {f"{ROOT}/"}
    pages = {path: visitor.get(ROOT + path) for path in PAGES}
    pages |= {
        f"/admin/{path}": chief.get(f"{ROOT}/admin/{path}") for path in ("", "accounts/user/", "diagnostics/scan/")
    }
    pages["door"] = door
    assert {path: page.status for path, page in pages.items() if page.status != 200} == {"/nowhere/": 404}
    astray = {
        path: [each for each in addresses(page) if not f"{each}/".startswith(f"{ROOT}/")]
        for path, page in pages.items()
    }
    assert {path: found for path, found in astray.items() if found} == {}
    files = {each for page in pages.values() for each in addresses(page) if each.startswith(f"{ROOT}/static/")}
    assert len(files) > 10
    assert {each: visitor.get(each).status for each in files if visitor.get(each).status != 200} == {}
    assert {"data-cookie-path", "hx-get"} <= {
        name for page in pages.values() for name, _ in ADDRESS.findall(page.text)
    }
    live = {
        value.replace("&amp;", "&") for name, value in ADDRESS.findall(pages["/worklist/"].text) if name == "hx-get"
    }
    assert {visitor.get(each, HX_Request="true").status for each in live} == {200, 204}
    assert visitor.get(f"{ROOT}/worklist").header("Location") == f"{ROOT}/worklist/"
    signed_out = Browser(numbers[kind]).get(f"{ROOT}/scans/").header("Location")
    assert signed_out == f"{ROOT}/accounts/sign-in/?next={ROOT}/scans/"
    assert Browser(numbers[kind]).get(f"{ROOT}/scans/", HX_Request="true").header("HX-Refresh") == "true"


@pytest.mark.parametrize("kind", ["passing", "cutting"])
def test_links_of_the_api_and_of_mails_lead_to_where_overread_is(ports, kind: str) -> None:  # type: ignore[no-untyped-def]
    web, numbers = ports
    home = InstitutionFactory()
    for _ in range(2):
        ScanFactory(institution=home)
    user = person(Role.DATA_MANAGER, home, email="someone@example.org")
    User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD, hasher="argon2"))
    ends = timezone.now() + timedelta(days=1)
    token = issue_token(user=user, name="test", scopes=list(Scope.values), expires_at=ends)[1]
    program = Browser(numbers[kind], headers={"Authorization": f"Bearer {token}"})
    first = program.get(f"{ROOT}/api/v1/scans/?page_size=1").json()
    following = urlsplit(first["next"])
    assert (following.netloc, following.path) == (f"127.0.0.1:{numbers[kind]}", f"{ROOT}/api/v1/scans/")
    assert len(program.get(f"{following.path}?{following.query}").json()["results"]) == 1
    links = re.findall(r'"(https?://[^"]+/(?:pixels|preview|original)/)"', json.dumps(first["results"]))
    assert len(links) > 1
    assert all(urlsplit(link).path.startswith(f"{ROOT}/api/v1/") for link in links)
    assert {program.get(urlsplit(link).path).status for link in links} == {200}
    schema = program.get(f"{ROOT}/api/schema/").text
    assert ROOT in schema
    visitor = Browser(numbers[kind])
    door = f"{ROOT}/accounts/password-reset/"
    told = re.search(r'href="([^"]*reset[^"]*)"', visitor.get(f"{ROOT}/accounts/sign-in/").text)
    assert visitor.form(told[1] if told else door, told[1] if told else door, {"email": user.email}).status == 302
    processes.wait(
        lambda: f":{numbers[kind]}{ROOT}/accounts/" in web.output(), 20, "no mail with such a link was sent"
    )


def test_address_in_mails_of_workers_carries_the_part() -> None:
    code = "from django.conf import settings; print(settings.PUBLIC_URL)"
    key = {"OVERREAD_PRODUCTION": "1", "SECRET_KEY": "x" * 60, "ALLOWED_HOSTS": "reading.example.org"}
    for more, expected in (
        ({"SCRIPT_NAME": ROOT}, "http://localhost:8000/overread"),
        ({"SCRIPT_NAME": "overread/", "OVERREAD_URL": "https://a.example.org"}, "https://a.example.org/overread"),
        ({"SCRIPT_NAME": ROOT, "OVERREAD_URL": "https://a.example.org/overread/"}, "https://a.example.org/overread"),
        ({"SCRIPT_NAME": ROOT, "OVERREAD_URL": "https://overread"}, "https://overread/overread"),
        (key, "https://reading.example.org"),
    ):
        done = subprocess.run(
            [str(processes.ROOT / ".venv/bin/python"), "-c", code], cwd=processes.ROOT, capture_output=True, text=True,
            env=processes.environment(DJANGO_SETTINGS_MODULE="portal.settings", **more), check=True,
        )  # fmt: skip
        assert done.stdout.strip() == expected
