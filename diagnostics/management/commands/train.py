"""``manage.py train --by NAME``: start a training on a dataset version, and watch it or carry it out here."""

import time
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from diagnostics import pipeline
from diagnostics.datasets.models import DatasetVersion
from diagnostics.management.command import DomainCommand
from diagnostics.training import planning, services
from diagnostics.training.models import ACTIVE, TrainingRun, TrainingState
from diagnostics.training.recipe import HYPERPARAMETERS

_KINDS: dict[str, Any] = {"whole": int, "number": float, "choice": str}


class Command(DomainCommand):
    help = (
        "Starts a training on a dataset version and waits for it. With --here this process carries it out itself "
        "instead of the training worker."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--by", required=True, metavar="NAME", help="Who is answerable: a data manager.")
        parser.add_argument("--dataset", type=int, metavar="NUMBER", help="The newest where left out.")
        parser.add_argument("--plan", action="store_true", help="Only say what it would do.")
        parser.add_argument("--anyway", action="store_true", help="Also where nothing is new since the live model.")
        parser.add_argument("--here", action="store_true", help="Train in this process.")
        for each in HYPERPARAMETERS:
            flag = f"--{each.name.replace('_', '-')}"
            if each.kind == "yes_no":
                wanted = "store_false" if each.default else "store_true"
                name = f"--no-{each.name.replace('_', '-')}" if each.default else flag
                parser.add_argument(name, dest=each.name, action=wanted, help=str(each.help))
            else:
                parser.add_argument(flag, type=_KINDS[each.kind], default=each.default, help=str(each.help))

    def handle(self, *args: object, **options: Any) -> None:
        by = get_user_model().objects.named(options["by"]).filter(is_active=True).first()
        if by is None:
            raise CommandError(_("There is no account %(by)s.") % {"by": options["by"]})
        versions = DatasetVersion.objects.visible_to(by).order_by("-number")
        if options["dataset"] is not None:
            versions = versions.filter(number=options["dataset"])
        dataset = versions.first()
        if dataset is None:
            raise CommandError(_("There is no such dataset version. manage.py freeze_dataset creates one."))
        recipe = {each.name: options[each.name] for each in HYPERPARAMETERS}
        if options["plan"]:
            self._show(planning.plan(by=by, dataset=dataset, recipe=recipe))
            obstacle = services.blocking_reason(by=by, dataset=dataset, anyway=options["anyway"])
            self.stdout.write(obstacle or "Nothing stands against starting this.")
            return
        # With --here no message goes out, so that no worker takes the run away from this process.
        start = services.queue if options["here"] else pipeline.start_training
        run = start(by=by, dataset=dataset, config=recipe, anyway=options["anyway"])
        self.stdout.write(f"{str(run).capitalize()} on {dataset}.")
        if options["here"]:
            from diagnostics.training import fitting

            fitting.fit(run.pk)
        self._watch(run)

    def _show(self, plan: planning.TrainingPlan) -> None:
        news = plan.news
        since = f"since {news.base}" if news.base else "in all (the live model was not trained here)"
        self.stdout.write(f"{news.added} new scans, {news.relabelled} changed labels, {news.removed} gone {since}")
        self.stdout.write("to learn from: " + ", ".join(f"{n} {label}" for label, n in plan.labels.items()))
        by_runs = f"by the pace of runs {plan.measured_on}" if plan.measured_on else "by a stated pace"
        self.stdout.write(f"at most about {plan.seconds} s, {by_runs}")

    def _watch(self, run: TrainingRun) -> None:
        """Print the log as it grows, until the run has ended."""
        shown = 0
        while True:
            run.refresh_from_db()
            self.stdout.write(run.log[shown:], ending="")
            shown = len(run.log)
            if run.state not in ACTIVE:
                break
            time.sleep(1)
        if run.state == TrainingState.FAILED:
            raise CommandError(run.failure)
        self.stdout.write(f"{str(run).capitalize()} ended: {run.get_state_display().lower()}.")
