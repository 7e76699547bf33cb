"""Settings of Overread: one file, everything from the environment, embedded defaults for one machine.

Each variable is described in ``.env.example``. Nothing secret has a default: on one machine the secret key is drawn
at the first start and kept in the data folder; with ``OVERREAD_PRODUCTION`` it must come from the environment.
"""

import contextlib
import hashlib
import ipaddress
import logging
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import environ
import structlog
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
_ENV_FILE = env.str("OVERREAD_ENV_FILE", default=str(BASE_DIR / ".env"))
if _ENV_FILE and Path(_ENV_FILE).is_file():
    env.read_env(_ENV_FILE)

# --- where and how -----------------------------------------------------------------------------------------
DATA_DIR = Path(env.str("OVERREAD_DATA", default=str(BASE_DIR / "var"))).expanduser().resolve()
PRODUCTION = env.bool("OVERREAD_PRODUCTION", default=False)
DEBUG = env.bool("DEBUG", default=False)
TESTING = "pytest" in sys.modules


def _secret_key() -> str:
    """The secret key from the environment, or one drawn once for this installation."""
    given = env.str("SECRET_KEY", default="")
    if given:
        return given
    if PRODUCTION:
        raise ImproperlyConfigured("SECRET_KEY is not set. Set it to a long random string (see .env.example).")
    kept = DATA_DIR / "secret_key"
    if not kept.is_file():
        DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=DATA_DIR) as drawn:
            drawn.write(get_random_secret_key())
            drawn.flush()
            # Two processes may start at once: the link puts the whole key in place, and only the first one's.
            with contextlib.suppress(FileExistsError):
                os.link(drawn.name, kept)
    return kept.read_text().strip()


if PRODUCTION and DEBUG:
    raise ImproperlyConfigured("DEBUG and OVERREAD_PRODUCTION are both on. Switch one of them off.")
SECRET_KEY = _secret_key()
# Encrypts originals of de-identified files, and derives what stands for their names. Lost, none can be opened again.
IDENTITY_KEY = env.str("OVERREAD_IDENTITY_KEY", default="")
# Signs the audit's anchors. Of its own where the web process is not to be able to make one that looks genuine.
AUDIT_KEY = env.str("OVERREAD_AUDIT_KEY", default="") or SECRET_KEY
# In production nothing is guessed: the checks refuse to start without.
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# The part of the address under which people reach Overread where it shares a host, "/overread" say.
ROOT = env.str("SCRIPT_NAME", default="").strip("/ ")
ROOT = f"/{ROOT}" if ROOT else ""
FORCE_SCRIPT_NAME = ROOT or None

# --- applications ------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "portal.accounts",
    "portal.ui",
    "diagnostics",
    "portal.admin.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "storages",
    "django_structlog",
]

MIDDLEWARE = [
    "portal.ui.headers.HeadersMiddleware",
    "portal.ui.proxy.ClientAddressMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.ui.middleware.OwnLanguageMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "portal.accounts.sessions.SessionLimitsMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.ui.middleware.RequestLogMiddleware",
    "portal.ui.middleware.PrivateByDefaultMiddleware",
    "portal.ui.middleware.RefusalMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.ui.context.portal",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
INSTALLED_APPS.append("django.forms")

# --- database ----------------------------------------------------------------------------------------------
_DATABASE_URL = env.str("DATABASE_URL", default="") or f"sqlite:///{DATA_DIR / 'overread.sqlite3'}"
DATABASES = {"default": env.db_url_config(_DATABASE_URL)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE takes the write lock when the transaction begins: with the default (DEFERRED) two readers that both
    # decide to write end in "database is locked", which no timeout can cure.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
    # Threads of the tests' live server share the file, so the test database must be a file as well.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
    # Test runs of several checkouts, and several processes of one, share the server but not the database.
    _OWN_NAME = hashlib.sha256(str(DATA_DIR).encode()).hexdigest()[:12]
    DATABASES["default"]["TEST"] = {"NAME": f"test_overread_{_OWN_NAME}"}
# A connection that stays open saves each request a few milliseconds, with SQLite too.
DATABASES["default"]["CONN_MAX_AGE"] = 0 if TESTING else 60
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- broker and tasks --------------------------------------------------------------------------------------


def embedded_socket() -> Path:
    """The private socket of the embedded broker; a Unix socket's path may have 107 bytes at most."""
    wanted = DATA_DIR / "run" / "broker.sock"
    if len(str(wanted).encode()) <= 100:
        return wanted
    return (
        Path(tempfile.gettempdir())
        / f"overread-{hashlib.sha256(str(DATA_DIR).encode()).hexdigest()[:12]}"
        / "broker.sock"
    )


REDIS_URL = env.str("REDIS_URL", default="")
CELERY_BROKER_URL = REDIS_URL or f"redis+socket://{embedded_socket()}"
# A nudge must never hold up an upload: the row is already written, and the reconciler finds it.
# (A worker, which waits for messages all day, takes longer: celery_worker.py.)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 0.5,
    "socket_timeout": 0.5,
    "visibility_timeout": 3600,
    "max_retries": 0,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # the reconciler brings the row back; a redelivered poison would loop
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "inference"
# What may wait behind a training: a reader's scan never waits behind any of these.
CELERY_TASK_ROUTES = {
    f"diagnostics.tasks.{name}": {"queue": "training"}
    for name in ("train", "judge", "score_in_the_shadow", "consider_retraining")
}
# What waits for other computers: it must hold up neither an opinion nor a training, nor wait for one.
CELERY_TASK_ROUTES |= {
    f"diagnostics.tasks.{name}": {"queue": "delivery"} for name in ("send_to_peers", "ask_for_priors", "send_webhooks")
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
RECONCILE_SECONDS = env.float("OVERREAD_RECONCILE_SECONDS", default=10.0)
# A series is closed when no image of it has come for so long, unless its sender says before that all are here.
SERIES_QUIET_SECONDS = env.float("OVERREAD_SERIES_QUIET_SECONDS", default=30.0)
# One that never pauses is closed after so long; what comes later is another revision of it.
SERIES_LONGEST_SECONDS = env.float("OVERREAD_SERIES_LONGEST_SECONDS", default=3600.0)
CELERY_BEAT_SCHEDULE = {
    "reconcile": {
        "task": "diagnostics.tasks.reconcile",
        "schedule": RECONCILE_SECONDS,
        # A broker that was away must not answer with an hour of stale reconciliations.
        "options": {"expires": RECONCILE_SECONDS},
    },
}
RETRAINING_CHECK_SECONDS = env.float("OVERREAD_RETRAINING_CHECK_SECONDS", default=3600.0)
CELERY_BEAT_SCHEDULE["consider-retraining"] = {
    "task": "diagnostics.tasks.consider_retraining",
    "schedule": RETRAINING_CHECK_SECONDS,
    "options": {"expires": RETRAINING_CHECK_SECONDS},
}
WATCH_SECONDS = env.float("OVERREAD_WATCH_SECONDS", default=900.0)
CELERY_BEAT_SCHEDULE["watch-the-model"] = {
    "task": "diagnostics.tasks.watch_the_model",
    "schedule": WATCH_SECONDS,
    "options": {"expires": WATCH_SECONDS},
}
STATISTICS_SECONDS = env.float("OVERREAD_STATISTICS_SECONDS", default=3600.0)
CELERY_BEAT_SCHEDULE["refresh-statistics"] = {
    "task": "diagnostics.tasks.refresh_statistics",
    "schedule": STATISTICS_SECONDS,
    "options": {"expires": STATISTICS_SECONDS},
}
# Of more scans a dataset is planned and frozen by a worker, so that no page waits for it.
PLAN_AT_ONCE_SCANS = env.int("OVERREAD_PLAN_AT_ONCE_SCANS", default=5000)
# Whoever scrapes /metrics must send it as a bearer token; without one the address does not exist.
METRICS_TOKEN = env.str("OVERREAD_METRICS_TOKEN", default="")
# Kept in memory: when something ran last may be forgotten at a start, and a file can be missing or broken.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"

INFERENCE_BATCH = env.int("OVERREAD_INFERENCE_BATCH", default=32)
INFERENCE_LEASE_SECONDS = env.int("OVERREAD_INFERENCE_LEASE_SECONDS", default=60)
INFERENCE_ATTEMPTS = 3
INFERENCE_THREADS = env.int("OVERREAD_INFERENCE_THREADS", default=1)
TRAINING_LEASE_SECONDS = env.int("OVERREAD_TRAINING_LEASE_SECONDS", default=120)
TRAINING_THREADS = env.int("OVERREAD_TRAINING_THREADS", default=2)
# Whether a promotion needs a second administrator's approval. One person alone may run a trial, but no real service.
SECOND_ADMINISTRATOR = env.bool("OVERREAD_SECOND_ADMINISTRATOR", default=PRODUCTION)
PROMOTION_REQUEST_HOURS = env.int("OVERREAD_PROMOTION_REQUEST_HOURS", default=72)
FRESH_SIGN_IN_MINUTES = env.int("OVERREAD_FRESH_SIGN_IN_MINUTES", default=15 if PRODUCTION else 120)
# A token that may teach was given that right on purpose and ends by itself: in a trial it is enough as it is.
FRESH_TOKENS = env.bool("OVERREAD_FRESH_TOKENS", default=PRODUCTION)
CHALLENGER_CASES = env.int("OVERREAD_CHALLENGER_CASES", default=100)
CLAIM_MINUTES = env.int("OVERREAD_CLAIM_MINUTES", default=30)
MAIL_LEASE_SECONDS = 120
MAIL_ATTEMPTS = 5
MAIL_LINES = 100  # notifications in one mail
DIGEST_HOUR = env.int("OVERREAD_DIGEST_HOUR", default=6)
# Where a mail's links lead: a worker knows no request to take the address from.
PUBLIC_URL = env.str("OVERREAD_URL", default="").rstrip("/") or (
    f"https://{ALLOWED_HOSTS[0]}"
    if PRODUCTION and ALLOWED_HOSTS
    else f"http://localhost:{env.str('PORT', default='8000')}"
)
if not urlsplit(PUBLIC_URL).path.endswith(ROOT):
    PUBLIC_URL += ROOT

# --- cache (rate limits) -----------------------------------------------------------------------------------
if REDIS_URL:
    CACHES = {"default": {"BACKEND": "portal.cache.SteadyRedisCache", "LOCATION": REDIS_URL}}
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# --- decoding in processes of their own --------------------------------------------------------------------
# In each web process and worker; as many files are decoded at once.
DECODING_PROCESSES = env.int("OVERREAD_DECODING_PROCESSES", default=4)
DECODING_MEMORY_MB = env.float("OVERREAD_DECODING_MEMORY_MB", default=224.0)
DECODING_CPU_SECONDS = env.float("OVERREAD_DECODING_CPU_SECONDS", default=1.6)
DECODING_WALL_SECONDS = env.float("OVERREAD_DECODING_WALL_SECONDS", default=30.0)
DECODING_FILES = env.int("OVERREAD_DECODING_FILES", default=200)

# --- DICOM (C-STORE) -------------------------------------------------------------------------------------------
# 0: nobody listens. 104 is the usual port and needs special rights; 11112 is the other one that is registered.
DICOM_PORT = env.int("OVERREAD_DICOM_PORT", default=0)
DICOM_BIND = env.str("OVERREAD_DICOM_BIND", default="") or env.str("OVERREAD_BIND", default="127.0.0.1")
DICOM_AE_TITLE = env.str("OVERREAD_DICOM_AE_TITLE", default="OVERREAD").strip()
if not 0 < len(DICOM_AE_TITLE) <= 16 or not (DICOM_AE_TITLE.isascii() and DICOM_AE_TITLE.isprintable()):
    raise ImproperlyConfigured("OVERREAD_DICOM_AE_TITLE must have 1 to 16 printable ASCII characters: OVERREAD, say.")
DICOM_ASSOCIATIONS = env.int("OVERREAD_DICOM_ASSOCIATIONS", default=20)
DICOM_TIMEOUT_SECONDS = env.float("OVERREAD_DICOM_TIMEOUT_SECONDS", default=30.0)
# As many instances are worked on at once as can be decoded; who waits longer for a place is told to come again.
DICOM_AT_ONCE = DECODING_PROCESSES
DICOM_WAIT_SECONDS = env.float("OVERREAD_DICOM_WAIT_SECONDS", default=10.0)
# How long an archive may take for an answer about priors, and between two of the images that it sends for it.
DICOM_PRIORS_SECONDS = env.float("OVERREAD_DICOM_PRIORS_SECONDS", default=300.0)
# For how long what a peer does not take is sent again and again, before it is given up.
DICOM_SENDING_DAYS = env.float("OVERREAD_DICOM_SENDING_DAYS", default=3.0)
# After the association that brought it. Some scanners open one for each image.
DICOM_LINGER_SECONDS = env.float("OVERREAD_DICOM_LINGER_SECONDS", default=3.0)

# --- webhooks ----------------------------------------------------------------------------------------------


def _networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The networks that a variable lists."""
    try:
        return [ipaddress.ip_network(each.strip()) for each in env.list(name, default=[]) if each.strip()]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}. Example: 10.1.0.0/16,192.168.7.0/24.") from None


WEBHOOK_NETWORKS = _networks("OVERREAD_WEBHOOK_NETWORKS")
WEBHOOK_CA_FILE = env.str("OVERREAD_WEBHOOK_CA_FILE", default="")
WEBHOOK_DAYS = env.float("OVERREAD_WEBHOOK_DAYS", default=3.0)
WEBHOOK_LOG_DAYS = env.float("OVERREAD_WEBHOOK_LOG_DAYS", default=90.0)

# --- files -------------------------------------------------------------------------------------------------
MAX_UPLOAD_BYTES = env.int("OVERREAD_MAX_UPLOAD_MB", default=32) * 1024 * 1024
# The most that one request may bring, several files together.
MAX_REQUEST_BYTES = max(env.int("OVERREAD_MAX_REQUEST_MB", default=256) * 1024 * 1024, MAX_UPLOAD_BYTES)
DATA_UPLOAD_MAX_NUMBER_FILES = 200
_BUCKET = env.str("AWS_STORAGE_BUCKET_NAME", default="")
_S3_ENDPOINT = env.str("AWS_S3_ENDPOINT_URL", default="")


def _files(folder: str) -> dict[str, object]:
    """Where one kind of file lies: a folder of the data folder, or a prefix of the bucket."""
    if _BUCKET:
        from botocore.config import Config  # half a second that one machine without S3 need not spend

        options: dict[str, object] = {
            "bucket_name": _BUCKET,
            "location": folder,
            "default_acl": None,
            "querystring_auth": True,
            "querystring_expire": 300,
            "file_overwrite": True,
            # A store that went away must not hold a request for botocore's default minute.
            "client_config": Config(
                signature_version="s3v4",
                connect_timeout=3,
                read_timeout=20,
                retries={"max_attempts": 3, "mode": "standard"},
                s3={"addressing_style": "path" if _S3_ENDPOINT else "auto"},
            ),
        }
        if _S3_ENDPOINT:
            options["endpoint_url"] = _S3_ENDPOINT
        if region := env.str("AWS_S3_REGION_NAME", default=""):
            options["region_name"] = region
        return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
    return {
        "BACKEND": "diagnostics.scans.storage.DurableFileSystemStorage",
        "OPTIONS": {"location": DATA_DIR / "files" / folder, "allow_overwrite": True},
    }


STORAGES = {
    "default": _files("scans"),
    "artifacts": _files("models"),
    "audit": _files("audit"),
    "staticfiles": {"BACKEND": "portal.ui.staticfiles.StaticFilesStorage"},
}
MODEL_CACHE_DIR = DATA_DIR / "cache" / "models"
TRAINING_DIR = DATA_DIR / "cache" / "training"  # where a broken-off training's state waits for the next worker
BUNDLED_MODEL = BASE_DIR / "mlcore" / "bundled_model"

STATIC_URL = f"{ROOT}/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(DATA_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_ALLOW_ALL_ORIGINS = False
if TESTING or DEBUG:
    STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    WHITENOISE_USE_FINDERS = True
    WHITENOISE_AUTOREFRESH = DEBUG

# --- people ------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
# Whoever signed in before there was a backend of our own is still known by Django's, until their session ends.
AUTHENTICATION_BACKENDS = ["portal.accounts.backends.WithMemberships", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "portal.accounts.password_rules.GuessableValidator"},
]
CSRF_FAILURE_VIEW = "portal.accounts.views.csrf_failure"
LOGIN_URL = "accounts:sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "accounts:sign-in"
EMAIL_BACKEND = env.str("EMAIL_BACKEND", default="django.core.mail.backends.console.EmailBackend")
if env.str("EMAIL_URL", default=""):
    globals().update(env.email("EMAIL_URL"))
EMAIL_TIMEOUT = 20  # seconds; a mail server that is silent must not hold a worker
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="overread@localhost")

# --- safety in transit -------------------------------------------------------------------------------------
HTTPS = env.bool("OVERREAD_HTTPS", default=PRODUCTION)
# How many proxies of our own stand before the web process, each of which adds to X-Forwarded-For.
_BEHIND = env.str("OVERREAD_BEHIND_PROXY", default="0").strip().lower()
PROXY_HOPS = int(_BEHIND) if _BEHIND.isascii() and _BEHIND.isdigit() else int(_BEHIND in env.BOOLEAN_TRUE_STRINGS)
SESSION_COOKIE_AGE = 12 * 3600  # from signing in, however busy the session is
SESSION_IDLE_MINUTES = env.int("OVERREAD_SESSION_IDLE_MINUTES", default=60 if PRODUCTION else 8 * 60)
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{ROOT}/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
if HTTPS:
    # A cookie of the whole host may not be bound to a part of its addresses.
    _PREFIX = "__Secure-" if ROOT else "__Host-"
    SESSION_COOKIE_NAME = f"{_PREFIX}session"
    CSRF_COOKIE_NAME = f"{_PREFIX}csrf"
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PROXY_HOPS else None
    SECURE_HSTS_SECONDS = 31536000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    # The health of a process is asked for from inside, without TLS.
    SECURE_REDIRECT_EXEMPT = [f"^{ROOT[1:]}/?{name}$" for name in ("healthz", "readyz", "metrics")]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "connect-src": [SELF],
        "font-src": [SELF],
        "worker-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# --- REST API ----------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "portal.api.authentication.BearerTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated", "portal.api.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "portal.api.schema.Schema",
    "DEFAULT_PAGINATION_CLASS": "portal.api.paging.ByUpdate",
    "EXCEPTION_HANDLER": "portal.api.problems.handler",
    "DEFAULT_THROTTLE_CLASSES": ["portal.api.throttles.PerToken"],
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
# Of one token or one person's session; a thousand uploads a minute, each polled twice, fit.
API_REQUESTS_PER_MINUTE = env.int("OVERREAD_API_REQUESTS_PER_MINUTE", default=6000)
SPECTACULAR_SETTINGS = {
    "TITLE": "Overread API",
    "DESCRIPTION": "Brain MRI reading with a second opinion by a CNN. Decision support for research, not a diagnosis.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1/",
    "SERVERS": [{"url": ROOT or "/"}],
    "COMPONENT_SPLIT_REQUEST": True,
    # The same word names different sets of codes (a scan's status, a run's): each set has a name of its own.
    "ENUM_NAME_OVERRIDES": {
        "ScanStatus": "portal.api.shapes.SCAN_STATUSES",
        "PredictionStatus": "portal.api.predictions.STATUSES",
        "RunStatus": "diagnostics.training.models.TrainingState.values",
        "ModelState": "diagnostics.registry.models.ModelState.values",
        "CaseState": "diagnostics.cases.models.CaseState.values",
        "Seat": "diagnostics.cases.models.Stage.values",
        "MarkKind": "diagnostics.annotations.models.Kind.values",
        "CommentKind": "diagnostics.reviews.models.CommentKind.values",
        "NotificationKind": "diagnostics.notifications.models.Kind.values",
        "ReadingMode": "diagnostics.scans.models.ReadingMode.values",
        "WorklistOrder": "diagnostics.scans.models.WorklistOrder.values",
        "Role": "diagnostics.scans.access.Role.values",
        "WebhookEvent": "diagnostics.webhooks.models.EventType.values",
        "WebhookEventChosen": "portal.api.webhooks.EVENTS",
        "DeliveryState": "diagnostics.jobs.retried.JobState.values",
    },
}

# --- language and time -------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
# Each in its own words: whoever looks for a language must be able to read its name.
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("es", "Español")]
LOCALE_PATHS = [BASE_DIR / "portal" / "locale"]
FORMAT_MODULE_PATH = ["portal.formats"]
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_I18N = True
USE_TZ = True

# --- logs: one line an event, ids instead of names ---------------------------------------------------------


def _unchanged(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event


LOG_FORMAT = env.str("OVERREAD_LOG_FORMAT", default="json" if PRODUCTION else "text")
_AS_TEXT = LOG_FORMAT == "text"
_time_stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S" if _AS_TEXT else "iso", utc=not _AS_TEXT)
_shared_processors: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    _unchanged if _AS_TEXT else structlog.stdlib.add_logger_name,
    _time_stamp,
]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "structured": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info if LOG_FORMAT == "json" else _unchanged,
                structlog.processors.JSONRenderer()
                if LOG_FORMAT == "json"
                else structlog.dev.ConsoleRenderer(
                    colors=False, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
                ),  # a traceback with its variables would tell patient data,
            ],
            "foreign_pre_chain": _shared_processors,
        }
    },
    "filters": {"nothing-asked": {"()": "portal.ui.logs.WithoutWhatWasAsked"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "structured", "filters": ["nothing-asked"]}
    },
    "root": {"handlers": ["console"], "level": env.str("OVERREAD_LOG_LEVEL", default="INFO")},
    # Every few seconds a nudge is sent, taken and done: the rows tell what came of it.
    "loggers": {
        name: {"level": "WARNING"}
        for name in ("celery.beat", "celery.worker.strategy", "celery.worker.request", "celery.app.trace")
    }
    # Its lines would tell what strangers send; ours say what came of it.
    | {"pynetdicom": {"level": "CRITICAL"}},
}
# One line a request, when it is answered.
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        *_shared_processors[1:],
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)

# Where the code stands, stored with each prediction and each training run.
CODE_REVISION = env.str("OVERREAD_REVISION", default="")
