"""Settings: each variable has its sentence, and production refuses what is unsafe."""

import re
import subprocess
import sys

import pytest

from tests import processes

ROOT = processes.ROOT
READ = re.compile(r"""(?:env(?:\.\w+)?\(|environ(?:\.get\(|\.setdefault\(|\[))\s*["']([A-Z][A-Z0-9_]+)["']""")
# Set by Django, make and the processes themselves, never by a person.
NOT_OURS = {
    "OPENCV_IO_MAX_IMAGE_PIXELS",
    "DJANGO_SETTINGS_MODULE",
    "MAKELEVEL",
    "NO_COLOR",
    "TF_CPP_MIN_LOG_LEVEL",
    "OPENBLAS_NUM_THREADS",
}


def read_by_the_code() -> set[str]:
    files = [*(ROOT / "portal").rglob("*.py"), *(ROOT / "diagnostics").rglob("*.py"), ROOT / "celery_worker.py"]
    compose = re.findall(r"(?<!\$)\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text())
    return {name for file in files for name in READ.findall(file.read_text())} - NOT_OURS | set(compose)


def described() -> dict[str, str]:
    """Each variable of .env.example with the comment line above its group."""
    found: dict[str, str] = {}
    sentence = ""
    for line in (ROOT / ".env.example").read_text().splitlines():
        if named := re.fullmatch(r"#([A-Z][A-Z0-9_]+)=.*", line):
            found[named[1]] = sentence
        elif line.startswith("# ") and not line.startswith("# ---"):
            sentence = line[2:]
        else:
            sentence = ""
    return found


def test_every_variable_that_is_read_is_described() -> None:
    assert len(read_by_the_code()) > 40
    assert read_by_the_code() - described().keys() == set()


def test_every_variable_that_is_described_is_read() -> None:
    by_libraries = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert described().keys() - read_by_the_code() - by_libraries == set()


def test_every_variable_has_a_sentence() -> None:
    assert [name for name, sentence in described().items() if len(sentence) < 10] == []


def check(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy"],
        cwd=ROOT,
        env=processes.environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"OVERREAD_PRODUCTION": "1"}, "SECRET_KEY is not set"),
        (
            {"OVERREAD_PRODUCTION": "1", "DEBUG": "1", "SECRET_KEY": "x" * 60},
            "DEBUG and OVERREAD_PRODUCTION are both on",
        ),
        ({"OVERREAD_PRODUCTION": "1", "SECRET_KEY": "short"}, "overread.E002"),
        ({"OVERREAD_PRODUCTION": "1", "SECRET_KEY": "abcdefghij" * 6, "ALLOWED_HOSTS": "*"}, "overread.E003"),
    ],
)
def test_unsafe_production_is_refused_with_a_sentence(environment: dict[str, str], sentence: str) -> None:
    done = check(**environment)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_safe_production_passes_every_check() -> None:
    done = check(
        OVERREAD_PRODUCTION="1",
        SECRET_KEY="abcdefghij" * 6,
        ALLOWED_HOSTS="reading.example.org",
        EMAIL_URL="smtp+tls://overread:word@mail.example.org:587",
    )
    assert (done.returncode, "no issues" in done.stdout + done.stderr) == (0, True), done.stderr


def test_secret_key_is_drawn_once_and_closed_to_others(tmp_path) -> None:
    code = "from django.conf import settings; print(settings.SECRET_KEY)"
    together = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=processes.environment(OVERREAD_DATA=str(tmp_path / "data")),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    keys = {process.communicate(timeout=60)[0].strip() for process in together}
    assert len(keys) == 1
    assert len(keys.pop()) >= 50
    assert (tmp_path / "data" / "secret_key").stat().st_mode & 0o777 == 0o600


def test_requirements_are_pinned_with_hashes() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-uv.txt", "requirements-gpu.txt"):
        blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text())
        pins = [block for block in blocks if not block.startswith("#")]
        assert pins
        assert [block.split()[0] for block in pins if "--hash=sha256:" not in block or "==" not in block] == []
