"""Ask the gate about a candidate, and keep what it said. Worker only: imported inside a task body."""

import tempfile
from pathlib import Path
from typing import Any

import structlog
from django.db import transaction

from diagnostics.datasets.models import DatasetVersion
from diagnostics.datasets.services import ManifestDamaged, manifest
from diagnostics.registry import gate, model_aliases
from diagnostics.registry import services as registry
from diagnostics.registry.models import ModelVersion
from mlcore.data.dataset import read_manifest
from mlcore.gate.rules import TOO_FEW
from mlcore.measure.metrics import opinions
from mlcore.model.identity import ArtifactDamaged

from .comparison import Compared, beside_live
from .originals import OriginalDamaged
from .queries import unjudged
from .tested import TestedScan

log = structlog.get_logger(__name__)


def judge(version_id: Any) -> bool:
    """Measure a candidate beside the model in use now, by the rules of now; whether there was anything to do."""
    if str(version_id) not in map(str, unjudged()):
        return False
    version = ModelVersion.objects.select_related("training_run__dataset").get(pk=version_id)
    dataset, live = version.training_run.dataset, registry.live()
    log.info("judging", model_version=version.number)
    try:
        with tempfile.TemporaryDirectory(prefix="overread-judging-") as scratch:
            listed = Path(scratch) / "manifest.jsonl"
            listed.write_bytes(manifest(dataset))
            items = [item for item in read_manifest(listed) if item.split == "test"]
            compared = beside_live(live, registry.fetch(version), items)
    except (ManifestDamaged, ArtifactDamaged, OriginalDamaged) as fault:
        # Written down like any verdict: otherwise it would be tried again for ever, and nobody would know why.
        log.error("not_judged", model_version=version.number, error=str(fault))
        said = {"verdict": TOO_FEW, "rules": [], "problem": str(fault)}
        with transaction.atomic():
            gate.keep(version=version, against=live, rules=gate.current_rules(), said=said, test_sha256="")
        return True
    with transaction.atomic():
        model_aliases.lock()
        if str(version_id) not in map(str, unjudged()):
            # Somebody measured it at the same time: one verdict is enough.
            return False
        keep(version, dataset, compared)
    return True


def keep(version: ModelVersion, dataset: DatasetVersion, compared: Compared) -> None:
    """Keep the gate's word and what both models said of each test scan, in the caller's transaction."""
    gate.keep(
        version=version,
        against=compared.live,
        rules=compared.rules,
        said=compared.said,
        test_sha256=compared.test_sha256,
    )
    if compared.candidate is None:
        return
    scans: dict[str, list[Any]] = {}
    for sha256, scan in dataset.items.filter(split="test").values_list("scan__sha256", "scan"):
        scans.setdefault(sha256, []).append(scan)
    mine, beside = compared.candidate, compared.beside
    labels = opinions(mine.probabilities, mine.leaves, mine.threshold)
    scores, live_scores = mine.scores, beside.scores if beside is not None else mine.scores
    live_labels = opinions(beside.probabilities, beside.leaves, beside.threshold) if beside is not None else []
    rows = {}
    for place, item in enumerate(compared.items):
        for scan in scans.get(item.sha256, []):
            row = TestedScan(
                version=version,
                scan_id=scan,
                truth=item.label,
                label=labels[place],
                tumour_probability=float(scores[place]),
            )
            if beside is not None:
                row.live = compared.live
                row.live_label, row.live_tumour_probability = live_labels[place], float(live_scores[place])
            rows[scan] = row
    # Another model is in use since: what it says of the same scans takes the place of what the former said.
    TestedScan.objects.filter(version=version).delete()
    TestedScan.objects.bulk_create(rows.values(), batch_size=500)
