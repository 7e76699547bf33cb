"""What every test stands on: settings of its own, a broker and workers for those who ask, a Chromium.

Nothing here touches the developer's ``./var``, ``.env`` or servers: the environment is cleared and a folder of this
run's own is named before the settings are read. ``OVERREAD_TEST_DATABASE_URL`` and ``OVERREAD_TEST_REDIS_URL`` let a
run use real servers instead (``make test`` does a second pass with them where they are reachable).
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import django
import pytest

from tests import servers

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("OVERREAD_TEST_", "OVERREAD_REQUIRE_BROWSER", "OVERREAD_CHROMIUM")
OURS = ("OVERREAD_", "AWS_STORAGE_", "AWS_S3_", "EMAIL_")
NAMED = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS"}
NAMED |= {"STATIC_ROOT", "SCRIPT_NAME"}


def _own_environment() -> None:
    """Clear what a developer's shell says about an installation, and name this process's own data folder."""
    for name in list(os.environ):
        if (name in NAMED or name.startswith(OURS)) and not name.startswith(KEPT):
            del os.environ[name]
    if "OVERREAD_TEST_FOLDER" not in os.environ:
        # Short, because the broker's socket lies below it and its path may have 107 bytes at most.
        folder = tempfile.mkdtemp(prefix="overread-test-")
        os.environ["OVERREAD_TEST_FOLDER"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    process = os.environ.get("PYTEST_XDIST_WORKER", "main")
    os.environ["OVERREAD_DATA"] = str(Path(os.environ["OVERREAD_TEST_FOLDER"]) / process)
    os.environ["OVERREAD_ENV_FILE"] = ""
    if os.environ.get("OVERREAD_TEST_DATABASE_URL"):
        os.environ["DATABASE_URL"] = os.environ["OVERREAD_TEST_DATABASE_URL"]
    if os.environ.get("OVERREAD_TEST_REDIS_URL"):
        os.environ["REDIS_URL"] = servers.own_database(os.environ["OVERREAD_TEST_REDIS_URL"])
    os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
    # The processes that tests start would compile everything anew each time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Playwright's synchronous interface runs an event loop in this very thread; no code of ours is asynchronous.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


_own_environment()
django.setup()

from django.conf import settings  # noqa: E402
from django.utils import translation  # noqa: E402

# Argon2 is slow on purpose; tests of the hashing itself name it.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
assert str(settings.DATA_DIR) == os.environ["OVERREAD_DATA"], "the settings were read before the tests named a folder"
Path(settings.DATA_DIR).mkdir(parents=True, exist_ok=True)
# Every test client loads the middleware anew, and to list some hundred static files cost three quarters of a request.
settings.WHITENOISE_AUTOREFRESH = True
# WhiteNoise warns where there is no such folder, and warnings are errors here.
Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)

from pytest_django.plugin import DjangoDbBlocker, blocking_manager_key  # noqa: E402

from tests import databases, processes  # noqa: E402

# Each new window drew two pages for the suggestions of an address bar that nobody sees: the last three switch
# them off. The others are Playwright's own, said again because only the last list of a command line counts.
NO_FEATURES = [
    "HttpsUpgrades",
    "PaintHolding",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "ThirdPartyStoragePartitioning",
    "LensOverlay",
    "MediaRouter",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "PreconnectToSearch",
    "AimEnabled",
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
]
NO_BROWSER = (
    "no Chromium was found: `sudo apt install chromium` (or name one in OVERREAD_CHROMIUM) lets the browser tests run"
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests in a browser are skipped where none is found, with a sentence that says how to get one."""
    if processes.chromium():
        return
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason=NO_BROWSER))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if any("browser" in report.keywords for report in terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(f"Browser tests were skipped: {NO_BROWSER}.", yellow=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let each worker process read the settings only after it has named its own folder.

    pytest-django reads them before any conftest where it finds the variable, and the workers inherit it from here:
    all would take the folder of this process, and so one broker.
    """
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With OVERREAD_REQUIRE_BROWSER a skipped browser test fails the run."""
    if not os.environ.get("OVERREAD_REQUIRE_BROWSER") or "PYTEST_XDIST_WORKER" in os.environ:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [report for report in reporter.stats.get("skipped", []) if "browser" in report.keywords]
    if skipped and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        with config.stash[blocking_manager_key].unblock():
            databases.drop_template()


@pytest.fixture(scope="session")
def django_db_setup(
    request: pytest.FixtureRequest, django_test_environment: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """The database that all tests of this process share: a copy of one that was migrated once for all processes."""
    cache = getattr(request.config, "cache", None)
    kept = cache.mkdir("overread-tables") if cache else Path(os.environ["OVERREAD_TEST_FOLDER"])
    with django_db_blocker.unblock(), databases.shared(kept):
        yield


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """End a test in the language that the next one expects: a page that the test client opened leaves its own."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def broker_server() -> Iterator[str]:
    """The address of a real broker for this process: the one that REDIS_URL names, or an embedded one."""
    if settings.REDIS_URL:
        yield settings.REDIS_URL
        return
    with processes.broker() as address:
        yield address


@pytest.fixture
def broker(broker_server: str) -> Iterator[str]:
    """A real, empty broker where the settings look for it; gives its address."""
    processes.empty(broker_server)
    yield broker_server
    processes.empty(broker_server)


@pytest.fixture
def inference_worker(broker: str, transactional_db: None) -> Iterator[processes.Worker]:
    """A real Celery worker on the inference queue, looking at this test's database (see ``processes.Worker``)."""
    with processes.Worker("inference") as worker:
        yield worker


@pytest.fixture
def training_worker(broker: str, transactional_db: None) -> Iterator[processes.Worker]:
    """A real Celery worker on the training queue, looking at this test's database."""
    with processes.Worker("training") as worker:
        yield worker


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, object]) -> dict[str, object]:
    """pytest-playwright drives the system's Chromium; root (in a container) may not use its sandbox."""
    arguments = ["--disable-dev-shm-usage", "--disable-gpu", f"--disable-features={','.join(NO_FEATURES)}"]
    if sys.platform == "linux" and os.geteuid() == 0:
        arguments.append("--no-sandbox")
    return {**browser_type_launch_args, "executable_path": processes.chromium(), "args": arguments}
