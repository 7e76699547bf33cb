"""How gunicorn serves the portal, on one machine and in a container."""

import os
import resource
from pathlib import Path
from typing import Any

from django.conf import settings

from portal.start import privacy, safety

# This file is read before the portal is loaded.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
safety.or_exit()
privacy.close_data()
# gunicorn would read it, too, and answer 500 where a proxy has cut that part off: portal/wsgi.py takes both.
_root = settings.ROOT
os.environ.pop("SCRIPT_NAME", None)

bind = f"{os.environ.get('OVERREAD_BIND', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("OVERREAD_WEB_PROCESSES", "2"))
threads = int(os.environ.get("OVERREAD_WEB_THREADS", "4"))
worker_class = "portal.start.web_worker.GatheringWorker"
# Connections of one process, most of them waiting; each is an open file, of which systems allow few at first.
_few, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
_wanted = 8192 if _most == resource.RLIM_INFINITY else min(_most, 8192)
if _few != resource.RLIM_INFINITY and _few < _wanted:
    resource.setrlimit(resource.RLIMIT_NOFILE, (_wanted, _most))
worker_connections = min(1000, _wanted // 3)
keepalive = 5
# Loaded once, before the fork: half the memory and half the start.
preload_app = True
timeout = 60
graceful_timeout = 8
# A stalled disk must not look like a stalled process.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
control_socket_disable = True


def post_worker_init(worker: object) -> None:
    """Start what decodes before the first upload comes; after the fork, so that each process has its own."""
    from diagnostics.scans.decoding import start_ahead

    start_ahead()


# Requests are logged by Django, without query strings; gunicorn's own words go the same way.
accesslog = None
_logging: dict[str, Any] = settings.LOGGING
logconfig_dict: dict[str, Any] = {
    **_logging,
    "loggers": {**_logging["loggers"], "gunicorn.error": {"level": "WARNING", "propagate": True}},
}
