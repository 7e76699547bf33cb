"""What the reading page shows to this person at this moment, gathered in one place for every answer it gives."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from django import forms
from django.db.models import Case as SqlCase
from django.db.models import F, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from diagnostics.actors import Actor, account_of
from diagnostics.annotations.queries import timeline_of
from diagnostics.cases.models import CaseState, Stage
from diagnostics.models import Case, Claim, Draft, Prediction, Read, Scan
from diagnostics.predictions.services import failure_of, status_of
from diagnostics.reviews.controls import Feedback, feedback_for
from diagnostics.reviews.models import Certainty, Label, ReadKind
from diagnostics.reviews.queries import (
    latest,
    live_claim,
    may_read,
    own_blind_read,
    own_final_read,
    permission_for,
    reads_for,
    step_of,
)
from diagnostics.reviews.reading import (
    FIELDS,
    Kind,
    Statement,
    TimelineEntry,
    Undoable,
    discordant,
    draft_for,
    fitting_reasons,
    spoken,
    statements_for,
    undoable_read,
)
from diagnostics.reviews.thread import Remark, thread_of
from diagnostics.reviews.visible_scans import VisibleScan, opinion_for, scans_for
from diagnostics.reviews.worklist import (
    Progress,
    coming_up,
    progress_for,
    stacks_of_study,
    unfinished,
    unread_beside,
)
from diagnostics.scans.access import Permission, may
from diagnostics.scans.looks import looked_at
from diagnostics.scans.models import ReadingMode
from portal.accounts.preferences import PageKeys, auto_advance

from .forms import AdjudicationForm, AmendForm, BlindForm, FinalForm, TakeOverForm
from .opinions import Opinion, in_words
from .stacks import stack_of

OTHERS_SHOWN = 24  # scans of one patient in the film strip

READING = ("blind", "reveal", "final")  # the steps of a reader who holds the case

# What a reader may have entered and must not lose when their claim has ended.
ENTRIES = ("choice", *(each.name for each in FIELDS))


class CasePage:
    """One case as one person meets it. Everything is asked for once, and only when it is shown."""

    def __init__(self, user: Actor, case: Case) -> None:
        self.user = user
        self.case = case
        self.scan = case.scan

    @cached_property
    def step(self) -> str:
        """``claim | blind | reveal | final | adjudicate | waiting | done | taken``."""
        return step_of(self.user, self.case)

    @cached_property
    def may_read(self) -> bool:
        return may_read(self.user, self.case)

    @cached_property
    def claim(self) -> Claim | None:
        return live_claim(self.user, self.case)

    @cached_property
    def prediction(self) -> Prediction | None:
        """The AI's opinion as far as this person may know it."""
        return opinion_for(self.seen)

    @cached_property
    def seen(self) -> VisibleScan:
        """The scan with how much of it this person may know now; asked when first needed, so after what they did."""
        (seen,) = scans_for(self.user).filter(pk=self.case.scan_id).visible()
        return seen

    @property
    def history(self) -> list[TimelineEntry]:
        return timeline_of(self.user, [self.seen])

    @cached_property
    def opinion(self) -> Opinion | None:
        return in_words(self.prediction) if self.prediction is not None else None

    @cached_property
    def status(self) -> str:
        return status_of(self.seen.scan)

    @cached_property
    def failure(self) -> str | None:
        return failure_of(self.seen.scan)

    @property
    def hidden(self) -> bool:
        """Whether this institution never shows the opinion before the case is done."""
        return bool(self.case.institution.reading_mode == ReadingMode.AI_HIDDEN)

    @property
    def blind_first(self) -> bool:
        return bool(self.case.institution.reading_mode == ReadingMode.BLIND_FIRST)

    @property
    def pending(self) -> bool:
        """Whether an opinion that this person may see is still to come."""
        return self.step == "final" and not self.hidden and self.status in ("queued", "analysing")

    @cached_property
    def blind_read(self) -> Read | None:
        return own_blind_read(self.user, self.case)

    @property
    def agrees(self) -> bool:
        """Whether the reader's blind read and the opinion that they see now say the same."""
        return bool(self.blind_read and self.prediction and self.blind_read.label == self.prediction.label)

    def reasons_for(self, label: str) -> str:
        """The codes of the reasons that fit ``label`` beside the opinion that this person sees, for the script."""
        return " ".join(fitting_reasons(label, self.differed_from))

    @property
    def reasons_to_keep(self) -> str:
        """The same for the reader's own blind read."""
        return self.reasons_for(self.blind_read.label) if self.blind_read is not None else ""

    @property
    def differed_from(self) -> Prediction | None:
        """The opinion from which a label that is chosen now would differ."""
        # While there is no opinion to be seen nothing differs, so that nothing can be told from here.
        return self.own_final.prediction if self.step in ("done", "waiting") and self.own_final else self.prediction

    @cached_property
    def reads(self) -> list[Read]:
        """The reads that stand, as far as this person may know them."""
        return list(latest(reads_for(self.user).filter(case=self.case)))

    @property
    def discordant(self) -> str:
        """In what the final reads of a case differ although it makes no disagreement; empty where in nothing."""
        return ", ".join(str(each.label) for each in discordant(self.reads))

    @cached_property
    def known(self) -> Feedback | None:
        """What is known of a control case, once this person has read it to the end."""
        return feedback_for(self.user, self.case)

    @cached_property
    def own_final(self) -> Read | None:
        """The final read that this person may amend."""
        mine = [read for read in self.reads if read.kind == ReadKind.FINAL and read.reader_id == self.user.pk]
        if not mine or not may(self.user, permission_for(mine[-1].stage), self.case.institution):
            return None
        if self.case.control and self.case.state == CaseState.DONE:
            return None  # its answer has been told
        settling = self.case.stage == Stage.ADJUDICATION or self.case.returned_at is not None
        return None if self.case.state == CaseState.OPEN and settling else mine[-1]

    @cached_property
    def statements(self) -> list[Statement]:
        """What both readers said, unnamed, for the adjudicator at work."""
        return statements_for(self.user, self.case)

    @cached_property
    def thread(self) -> list[Remark]:
        """The comments that this person may see."""
        return thread_of(self.user, self.case)

    @property
    def returned_to_me(self) -> bool:
        return bool(self.case.returned_at is not None and self.case.assigned_to_id == self.user.pk)

    @property
    def may_ask(self) -> bool:
        """Whether this reader may still ask for a second opinion."""
        return self.step in READING and self.case.stage == Stage.FIRST and not self.case.second_read

    @property
    def asked(self) -> bool:
        """Whether this reader has asked for one."""
        return any(remark.kind == "asked" for remark in self.thread) and self.step in READING

    @property
    def may_recall(self) -> bool:
        """Whether this person may take a returned case back, to settle it."""
        place = self.case.institution
        return self.case.returned_at is not None and not self.reads and may(self.user, Permission.ADJUDICATE, place)

    @cached_property
    def draft(self) -> Draft | None:
        """What this reader had entered here and not yet stated, while they hold the case."""
        return draft_for(self.user, self.case) if self.claim is not None else None

    @property
    def draft_fields(self) -> str:
        """The names of what a draft brings back that its reader can see, for the script."""
        form = self.form(kept={"": ""})
        shown = form.fields.items() if form is not None else ()
        return " ".join(name for name, field in shown if name in ENTRIES and not field.widget.is_hidden)

    @cached_property
    def aside(self) -> list[dict[str, object]]:
        """What this reader entered in another tab and what did not become the draft, the newest first."""
        kept = self.draft.aside if self.draft is not None else []
        return [
            {"at": datetime.fromisoformat(each["at"]), "words": words, "entries": json.dumps(each["entries"])}
            for each in reversed(kept)
            if (words := self.in_words(each["entries"]))
        ]

    def in_words(self, entries: Mapping[str, str]) -> list[dict[str, str]]:
        """Entries of the step's form as the page names them: ``{"name", "words"}`` of each."""
        form = self.form(kept={"": ""})
        said = []
        for name, field in form.fields.items() if form is not None else ():
            value = entries.get(name, "")
            if not value or name not in ENTRIES or field.widget.is_hidden:
                continue
            choices = {str(code): str(words) for code, words in getattr(field, "choices", ())}
            words = _("yes") if isinstance(field, forms.BooleanField) else choices.get(value, value)
            said.append({"name": str(field.label), "words": words})
        return said

    @cached_property
    def own_newest(self) -> Read | None:
        """The final read that this person has given here."""
        return own_final_read(self.user, self.case)

    @cached_property
    def unfinished(self) -> int:
        """How many cases this person has begun and not finished."""
        return len(unfinished(self.user))

    @cached_property
    def undoable(self) -> Undoable | None:
        """The final read, of this case or the one before it, that this person gave a moment ago."""
        return undoable_read(self.user)

    def adjudication_form(self, data: Any = None, kept: dict[str, str] | None = None) -> AdjudicationForm:
        return AdjudicationForm(data, initial=self._begun(kept), images=self.case.scan.image_count)

    def blind_form(self, data: Any = None, kept: dict[str, str] | None = None) -> BlindForm:
        return BlindForm(data, initial=self._begun(kept), images=self.case.scan.image_count)

    def _begun(self, kept: dict[str, str] | None) -> dict[str, object]:
        return {"claim_token": self.claim.token if self.claim else "", **(kept or {})}

    def final_form(self, data: Any = None, kept: dict[str, str] | None = None) -> FinalForm:
        initial = {
            "claim_token": self.claim.token if self.claim else "",
            "opinion": str(self.prediction.pk) if self.prediction else "",
        }
        if self.blind_read:
            # Their own words of a moment ago, no suggestion. The final read itself starts unchosen.
            initial |= {each.name: getattr(self.blind_read, each.name) for each in FIELDS if each.carried}
        return FinalForm(
            data,
            initial={**initial, **(kept or {})},
            own=self.blind_read.label if self.blind_read else "",
            opinion=self.prediction,
            images=self.case.scan.image_count,
        )

    def amend_form(self, data: Any = None) -> AmendForm | None:
        if self.own_final is None:
            return None
        return AmendForm(data, read=self.own_final, images=self.case.scan.image_count)

    def form(self, kept: dict[str, str] | None = None) -> forms.Form | None:
        """The form of the step, with what was entered before the claim ended or kept as a draft."""
        kept = kept or (self.draft.entries if self.draft is not None else None)
        if self.step == "blind":
            return self.blind_form(kept=kept)
        if self.step == "final":
            return self.final_form(kept=kept)
        if self.step == "adjudicate":
            return self.adjudication_form(kept=kept)
        return self.amend_form() if self.step in ("done", "waiting") else None

    @cached_property
    def keys(self) -> PageKeys:
        """The keys that this person has here."""
        return PageKeys(self.user, "reading")

    @cached_property
    def auto_advance(self) -> bool:
        """Whether the main button of the final read brings the next case."""
        return auto_advance(account_of(self.user))

    @cached_property
    def progress(self) -> Progress | None:
        """How far the reading has come, for whoever reads here."""
        return progress_for(self.user) if self.claim is not None or self.own_newest is not None else None

    @property
    def label_keys(self) -> str:
        """The keys of the labels in short ("1–7"); empty where they are no run of digits."""
        keys = "".join(self.keys.key(f"label-{number}") for number, _label in enumerate(Label, start=1))
        return f"{keys[0]}–{keys[-1]}" if len(keys) == len(Label) and keys in "1234567890" else ""

    def labels(self) -> list[tuple[str, str, str, str]]:
        """(code, words, key, the reasons that fit it) for each label."""
        return [
            (label.value, str(label.label), self.keys.key(f"label-{number}"), self.reasons_for(label.value))
            for number, label in enumerate(Label, start=1)
        ]

    @cached_property
    def stacks(self) -> list[Case]:
        """The cases of the study, this one among them; empty where it is the only one."""
        found = list(stacks_of_study(self.user, self.case)) if self.case.study_id else []
        return found if len(found) > 1 else []

    @cached_property
    def unread_beside(self) -> list[Case]:
        """The other series of the study that this reader holds and has not read blind yet."""
        if not self.stacks or self.step != "reveal":
            return []
        unread = {case.pk for case in unread_beside(self.user, self.case)}
        return [case for case in self.stacks if case.pk in unread]

    def others(self) -> QuerySet[Scan]:
        """The patient's other scans, to look at beside this one: same study first, then the newest visits."""
        same = When(study=self.scan.study_id, then=Value(0))
        return (
            Scan.objects.visible_to(self.user)
            .filter(patient=self.scan.patient_id, rejected_code="")
            .exclude(pk=self.scan.pk)
            .select_related("study", "series")
            .order_by(SqlCase(same, default=Value(1)), F("study__date").desc(nulls_last=True), "-created_at", "-id")[
                :OTHERS_SHOWN
            ]
        )

    def ahead(self) -> Any:
        """The scan that *Read next* would most likely bring after this one, so that its image can be here already."""
        if self.step not in READING:
            return None
        return coming_up(self.user, after=self.case.pk)

    @cached_property
    def stack(self) -> str:
        """What the viewer must know of a stack, as JSON; empty where the scan has one image."""
        if self.scan.image_count == 1:
            return ""
        return json.dumps(stack_of(self.scan))

    @property
    def first_pixels(self) -> str:
        """Where the pixels lie that the viewer asks for first."""
        if self.scan.image_count == 1:
            return reverse("reading:pixels", args=[self.scan.pk])
        return reverse("reading:image-pixels", args=[self.scan.pk, self.scan.image_count // 2])

    def context(self) -> dict[str, object]:
        return {
            "case": self.case,
            "scan": self.scan,
            "page": self,
            "labels": self.labels(),
            "certainties": [
                (certainty.value, str(certainty.label), self.keys.key(f"certainty-{number}"))
                for number, certainty in enumerate(Certainty, start=1)
            ],
            "keys": self.keys,
            "take_over": TakeOverForm(),
            "history": self.history,
            "others": self.others(),
            "ahead": self.ahead,
            "done": self.case.state == CaseState.DONE,
        }


def entries_of(data: Any) -> dict[str, str]:
    """What was entered, out of a form whose claim has ended."""
    return {name: data[name] for name in ENTRIES if data.get(name)}


def _spoken(entries: dict[str, str]) -> list[str]:
    """Entries as a reader recognises them."""
    said = [spoken(each, entries[each.name]) for each in FIELDS if each.name in entries and each.kind != Kind.YES_NO]
    return [words for words in said if words]


def only_entered(request: HttpRequest, page: CasePage, **shown: Any) -> HttpResponse | None:
    """The page with all that was entered, where Enter in an answer sent the form; None where a button was pressed.

    A script holds such an Enter back; without one the form's first button stands for it (``reading/_enter.html``).
    """
    if "enter" not in request.POST:
        return None
    told = _("Nothing was submitted. Enter only selects. Press the button to submit.")
    shown.setdefault("form", page.form(kept=entries_of(request.POST)))
    return show(request, page, refusal=told, **shown)


def show(
    request: HttpRequest,
    page: CasePage,
    *,
    form: forms.Form | None = None,
    take_over: TakeOverForm | None = None,
    extra: dict[str, object] | None = None,
    refusal: str = "",
    entries: dict[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    """The reading page."""
    looked_at(by=request.user, scan_id=page.case.scan_id)
    context = {
        **page.context(),
        "form": form if form is not None else page.form(),
        "refusal": refusal,
        "entries": entries or {},
        # What a page answers to a form is no newer than that form: another tab may have saved meanwhile.
        "draft_seen": request.POST.get("draft_revision"),
        "spoken": _spoken(entries or {}),
    }
    if take_over is not None:
        context["take_over"] = take_over
    context.update(extra or {})
    return render(request, "reading/case.html", context, status=status)
