"""What Prometheus may scrape: states and numbers of the installation, of no patient and no person.

They are read from the rows at each scrape, so every server process answers the same and nothing is counted in memory.
"""

import hmac
from collections.abc import Iterator

from django.conf import settings
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from diagnostics.jobs.retried import JobState
from diagnostics.models import (
    Alert,
    DicomPeer,
    Institution,
    Prediction,
    PriorSearch,
    Sending,
    TrainingRun,
    WebhookDelivery,
)
from diagnostics.monitoring import numbers
from diagnostics.predictions.models import PredictionState
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelVersion

# Done ones are many, and tell nothing that an operator must act on.
OPEN_JOBS = (JobState.WAITING, JobState.RUNNING, JobState.FAILED)
WORDS = {
    "overrides": "Reads that override the AI",
    "disagreed": "Blind reads that contradict the AI",
    "right_flips": "Wrong blind reads that turned right after the reveal",
    "wrong_flips": "Right blind reads that turned wrong after the reveal",
    "out_of_scope": "Scans that readers call out of scope",
    "unlike": "Scans unlike anything the model was trained on",
    "failed": "Analyses that failed",
    "slow": "Analyses that took longer than two minutes",
}


class Collector:
    """Reads the rows when it is asked."""

    def collect(self) -> Iterator[Metric]:
        """The state of the work, and the live model's numbers of the last four weeks."""
        waiting = GaugeMetricFamily("overread_analyses_waiting", "Scans that wait for the AI", labels=["state"])
        states = (PredictionState.QUEUED, PredictionState.RUNNING)
        counted = dict(
            Prediction.objects.filter(state__in=states)
            .order_by()
            .values("state")
            .annotate(n=Count("pk"))
            .values_list("state", "n")
        )
        for state in states:
            waiting.add_metric([str(state)], counted.get(state, 0))
        yield waiting
        running = TrainingRun.objects.filter(active=True).exists()
        yield GaugeMetricFamily("overread_training_active", "Whether a training waits or runs", value=float(running))
        open_alerts = GaugeMetricFamily("overread_alerts_open", "Limits that are passed now", labels=["watched"])
        for watched, n in (
            Alert.objects.open().order_by().values("watched").annotate(n=Count("pk")).values_list("watched", "n")
        ):
            open_alerts.add_metric([watched], n)
        yield open_alerts
        yield from self._of_peers()
        live = registry.live()
        yield GaugeMetricFamily("overread_live_model", "Number of the model in use", value=live.number if live else 0)
        if live is not None:
            yield from self._of_model(live)

    def _of_peers(self) -> Iterator[Metric]:
        """What waits for, and what was heard of, programs that speak DICOM with us."""
        for name, words, model in (
            ("overread_dicom_sendings", "Files for DICOM peers", Sending),
            ("overread_prior_searches", "Questions to archives for priors", PriorSearch),
            ("overread_webhook_deliveries", "Events for webhooks", WebhookDelivery),
        ):
            jobs = GaugeMetricFamily(name, words, labels=["state"])
            rows = model.objects.filter(state__in=OPEN_JOBS).order_by().values("state").annotate(n=Count("pk"))
            counted = dict(rows.values_list("state", "n"))
            for state in OPEN_JOBS:
                jobs.add_metric([str(state)], counted.get(state, 0))
            yield jobs
        heard = GaugeMetricFamily(
            "overread_dicom_peer_heard_timestamp", "When a DICOM peer last sent or asked", labels=["peer"]
        )
        for pk, at in DicomPeer.objects.filter(active=True, last_heard_at__isnull=False).values_list(
            "pk", "last_heard_at"
        ):
            if at is not None:
                heard.add_metric([str(pk)], at.timestamp())
        yield heard

    def _of_model(self, live: ModelVersion) -> Iterator[Metric]:
        places = list(Institution.objects.values_list("pk", flat=True))
        said = numbers.analyses(places, live, numbers.RECENT_DAYS)
        judged = numbers.reads(places, live, numbers.RECENT_DAYS)
        for number in (*numbers.of_reads(judged), *numbers.of_analyses(said)):
            words = f"{WORDS[number.key]}, of the last {numbers.RECENT_DAYS} days"
            yield GaugeMetricFamily(f"overread_{number.key}", words, value=number.k)
            yield GaugeMetricFamily(f"overread_{number.key}_of", f"Of how many: {words}", value=number.n)
        seconds = sorted(each.seconds for each in said if each.seconds is not None)
        if seconds:
            slowest = seconds[min(int(0.95 * len(seconds)), len(seconds) - 1)]
            yield GaugeMetricFamily("overread_analysis_seconds_p95", "From being queued to the opinion", value=slowest)
        index = GaugeMetricFamily("overread_stability_index", "Population stability index", labels=["of"])
        for key, _name, each in numbers.drifts(places, live):
            if each.index is not None:
                index.add_metric([key], each.index)
        yield index


_registry = CollectorRegistry(auto_describe=False)
_registry.register(Collector())


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The numbers as text, to whoever brings the token; for everybody else there is no such address."""
    wanted = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not wanted or not hmac.compare_digest(given.encode(), wanted.encode()):
        raise Http404
    return HttpResponse(generate_latest(_registry), content_type=CONTENT_TYPE_LATEST)
