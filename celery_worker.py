"""The Celery application. ``celery -A celery_worker worker -Q inference`` starts a worker with it.

The task bodies live in ``diagnostics/tasks.py``; this file only binds them to the settings. The message is a
nudge and the row is the truth, so there is no result backend.
"""

import os
import sys
import threading
import time
from typing import Any

from celery import Celery
from celery.signals import celeryd_init, setup_logging, worker_process_init
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
# TensorFlow's greeting in the child that loads a model: its errors are enough.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The products beside the network are small: threads would cost more than they bring, and take cores from others.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# OpenCV reads only what this program has written itself, but it need not read more than a scan can be (`PIXEL_LIMIT`).
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(4096 * 4096))

# The worker reads this file before it forks: a child finds here whose child it is, however late it asks.
_LOADED_BY = os.getpid()


class Checked(Celery):
    """Celery whose worker and scheduler ask first whether a production may start like this."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("Worker", "Beat"):
            from portal.start.privacy import close_data
            from portal.start.safety import or_exit

            or_exit()
            close_data()
        return super().__getattribute__(name)

    def _load_config(self) -> Any:
        """What is wrong with the settings themselves is a sentence for whoever starts this, not a trace."""
        try:
            return super()._load_config()
        except ImproperlyConfigured as refusal:
            sys.exit(str(refusal))


app = Checked("overread")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["diagnostics"])


@setup_logging.connect
def keep_the_logs_of_the_settings(**_: Any) -> None:
    """Being connected is the effect: Celery then leaves the logs as ``settings.LOGGING`` set them up."""


@celeryd_init.connect
def wait_longer_for_the_broker(conf: Any, **_: Any) -> None:
    """Only a request must not be held up; a worker's own questions wait at the broker for a second at a time."""
    conf.broker_transport_options = {
        **conf.broker_transport_options,
        "socket_connect_timeout": 1,
        "socket_timeout": 1.5,
    }


@worker_process_init.connect
def die_with_the_worker(**_: Any) -> None:
    """Without this a child whose worker was killed would fit on for an hour, and nobody could tell it to stop."""
    worker = os.getppid() if os.getpid() == _LOADED_BY else _LOADED_BY

    def watch() -> None:
        while os.getppid() == worker:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="watch-the-worker", daemon=True).start()
