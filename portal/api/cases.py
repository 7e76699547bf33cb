"""Cases: a scan as work. Claim one, state what one sees, give it back."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from diagnostics.annotations.queries import annotations_for
from diagnostics.annotations.services import annotate
from diagnostics.cases.models import CaseState, Stage
from diagnostics.limits import LONGEST_TEXT
from diagnostics.models import Case, Claim
from diagnostics.predictions.services import status_of
from diagnostics.reports.services import export_report
from diagnostics.reviews import comments as review_comments
from diagnostics.reviews import double_reading, errors, reading, worklist
from diagnostics.reviews.models import ReadKind
from diagnostics.reviews.queries import cases_for, live_claim, reads_for, step_of, unrevealed_reads
from diagnostics.reviews.reading import statements_for
from diagnostics.reviews.thread import READERS, comments_for, thread_of
from diagnostics.reviews.worklist import TABS, changed_in_tab
from portal.accounts.models import Scope, User

from .annotations import AnnotationSerializer, NewAnnotation, change_of
from .files import document
from .idempotency import HEADER
from .reads import ReadSerializer
from .resource import BaseViewSet
from .revealing import before_final
from .shapes import SCAN_STATUSES, PriorityWord
from .statement import Statement, stated
from .strict import Changes, InputSerializer, Name, Nothing, OneOf, Page, Query
from .threads import NewRemark, RemarkSerializer, Talk

STEPS = ["claim", "blind", "final", "adjudicate", "waiting", "done", "taken"]


class HolderSerializer(serializers.Serializer[object]):
    """Who holds the case, and until when."""

    holder = serializers.CharField()
    mine = serializers.BooleanField()
    expires_at = serializers.DateTimeField()


class CaseSerializer(serializers.Serializer[Case]):
    """A scan as work."""

    id = serializers.UUIDField()
    scan = serializers.UUIDField(source="scan_id")
    institution = serializers.CharField(source="institution.code")
    patient = serializers.CharField(source="scan.patient.pseudonym")
    priority = PriorityWord()
    state = serializers.ChoiceField(choices=CaseState.values)
    seat = serializers.ChoiceField(
        choices=Stage.values, source="stage", help_text="Whose read it waits for; of a done case: whose decided."
    )
    returned = serializers.SerializerMethodField(help_text="An adjudicator sent it back to a reader.")
    scan_status = serializers.SerializerMethodField()
    blinded = serializers.SerializerMethodField(help_text="This person must not ask for the AI's opinion yet.")
    control = serializers.SerializerMethodField(
        help_text="Its answer was known, so it measured its reader and is no work; null before it is done."
    )
    claim = serializers.SerializerMethodField(help_text="The live claim, or null.")
    opened_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(help_text="Until when it should be read, by the institution's time for it.")
    done_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField()

    @extend_schema_field(serializers.ChoiceField(choices=SCAN_STATUSES))
    def get_scan_status(self, case: Case) -> str:
        return status_of(case.scan)

    def get_blinded(self, case: Any) -> bool:
        # Once their blind read is locked, the opinion is theirs for the asking, and the asking is the reveal.
        return bool(case.blinded and case.scan_id not in self._theirs_for_the_asking)

    @cached_property
    def _theirs_for_the_asking(self) -> set[Any]:
        waiting = unrevealed_reads(self.context["request"].user)
        return set(waiting.values_list("case__scan", flat=True))

    def get_control(self, case: Case) -> bool | None:
        return case.control if case.state == CaseState.DONE else None

    def get_returned(self, case: Case) -> bool:
        return case.returned_at is not None

    @extend_schema_field(HolderSerializer(allow_null=True))
    def get_claim(self, case: Any) -> dict[str, Any] | None:
        if case.holder_id is None:
            return None
        mine = case.holder_id == self.context["request"].user.pk
        return HolderSerializer({"holder": case.holder_name, "mine": mine, "expires_at": case.expires_at}).data


class CaseDetail(CaseSerializer):
    """A case, and what this person would do next with it."""

    step = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(choices=STEPS))
    def get_step(self, case: Case) -> str:
        step = step_of(self.context["request"].user, case)
        # What a program does next is the final read; the reveal is no request of its own here.
        return "final" if step == "reveal" else step


class ClaimSerializer(serializers.Serializer[Claim]):
    """A lease on a case. The token must come with every read."""

    case = serializers.UUIDField(source="case_id")
    scan = serializers.UUIDField(source="case.scan_id")
    claim_token = serializers.UUIDField(source="token")
    expires_at = serializers.DateTimeField()


class CaseListing(Changes):
    scan = serializers.UUIDField(required=False)
    study = serializers.UUIDField(required=False, help_text="The study of DICOM series that a case is read with.")
    institution = Name(required=False, source="institution__code_folded", help_text="Code.")
    patient = Name(required=False, source="scan__patient__pseudonym_folded", help_text="Pseudonym.")
    priority = PriorityWord(required=False)
    state = OneOf(choices=CaseState.values, required=False)
    seat = OneOf(choices=Stage.values, required=False, source="stage")
    tab = OneOf(choices=TABS, required=False, help_text="As the tabs of the worklist.")


@extend_schema_field(OpenApiTypes.UUID)
class ClaimTokenField(serializers.CharField):
    """The token of a claim in a body: whatever is none that lives is stale, and no error of form."""

    def __init__(self, **more: Any) -> None:
        super().__init__(max_length=200, **more)


class ClaimToken(InputSerializer):
    claim_token = ClaimTokenField()


class GivenBack(InputSerializer):
    claim_token = ClaimTokenField(required=False, help_text="One's own live claim where left out.")


class NewRead(Statement):
    """What a reader states, and on which claim."""

    claim_token = ClaimTokenField()
    stage = OneOf(choices=ReadKind.values)
    scan_revision = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=1_000_000,
        help_text="`revision` of the scan that its reader looked at; 409 `new_images` where others came since.",
    )


class Question(InputSerializer):
    claim_token = ClaimTokenField()
    comment = serializers.CharField(
        max_length=LONGEST_TEXT, help_text="What is asked; hidden from whoever is still blind."
    )


class Return(InputSerializer):
    claim_token = ClaimTokenField()
    reader = OneOf(choices=list(READERS), help_text="Whom it goes back to.")
    comment = serializers.CharField(max_length=LONGEST_TEXT, help_text="What to look at again.")


class Recall(InputSerializer):
    reason = serializers.CharField(max_length=LONGEST_TEXT)


class Answer(InputSerializer):
    comment = serializers.CharField(max_length=LONGEST_TEXT)


class Assignment(InputSerializer):
    cases = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=200)
    to = serializers.CharField(allow_null=True, help_text="Username of a radiologist; null takes them back.")


class TakeOver(InputSerializer):
    reason = serializers.CharField(max_length=LONGEST_TEXT, help_text="Shown to whoever held the case.")


class CaseViewSet(BaseViewSet):
    """Cases of the institutions in which this person may see scans."""

    listings: ClassVar[dict[str, type[Query]]] = {
        "list": CaseListing,
        "reads": Page,
        "annotations": Page,
        "comments": Page,
    }
    serializer_class = CaseSerializer
    scopes: ClassVar[dict[str, str]] = dict.fromkeys(
        [
            "next",
            "claim",
            "take_over",
            "release",
            "renew",
            "record",
            "mark",
            "second_opinion",
            "return_to_reader",
            "recall",
            "answer",
            "assign",
            "comment",
        ],
        Scope.REVIEW,
    )

    may_miss = ("assign",)

    def get_queryset(self) -> QuerySet[Case]:
        return cases_for(self.person)

    def filter_queryset(self, queryset: QuerySet[Case]) -> QuerySet[Case]:
        wanted = self.query.pop("tab", None)
        if not wanted:
            return super().filter_queryset(queryset)
        in_tab = changed_in_tab(self.person, wanted)
        self.first_rows = in_tab.first
        return super().filter_queryset(in_tab.cases)

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        if self.action == "record" and HEADER in request.headers:
            before_final(self.person, self.get_queryset().filter(pk=self.kwargs["pk"]).first(), request.data)

    def current_state(self) -> dict[str, Any] | None:
        """The case as it is now, for whoever came too late."""
        case = self.get_queryset().filter(pk=self.kwargs["pk"]).first() if "pk" in self.kwargs else None
        return CaseDetail(case, context=self.get_serializer_context()).data if case is not None else None

    @extend_schema(responses=CaseDetail)
    def retrieve(self, request: Request, **kwargs: object) -> Response:
        """One case."""
        return Response(CaseDetail(self.get_object(), context=self.get_serializer_context()).data)

    @extend_schema(
        request=None,
        responses={200: ClaimSerializer, 204: OpenApiResponse(description="Nothing waits for this person.")},
    )
    @action(detail=False, methods=["post"])
    def next(self, request: Request) -> Response:
        """Claim the case that comes first by the policy of the worklist."""
        self.body(Nothing)
        claim = worklist.claim_next(by=self.person)
        if claim is None:
            return Response(status=status.HTTP_204_NO_CONTENT)
        return Response(ClaimSerializer(claim).data)

    @extend_schema(request=Assignment, responses=CaseSerializer(many=True), filters=False)
    @action(detail=False, methods=["post"], pagination_class=None)
    def assign(self, request: Request) -> Response:
        """Deal cases out to a reader, who alone may claim them then; all of them, or none."""
        given = self.body(Assignment)
        found = list(self.get_queryset().filter(pk__in=given["cases"]))
        if len(found) != len(set(given["cases"])):
            raise Http404
        to = None if given["to"] is None else User.objects.named(given["to"]).first()
        if to is None and given["to"] is not None:
            raise errors.InvalidRead("to", _("Choose a radiologist of the case's institution."))
        worklist.assign(by=self.person, cases=found, to=to)
        rows: Any = self.get_queryset().filter(pk__in=given["cases"])
        return Response(CaseSerializer(rows, many=True, context=self.get_serializer_context()).data)

    @extend_schema(request=None, responses=ClaimSerializer)
    @action(detail=True, methods=["post"])
    def claim(self, request: Request, **kwargs: object) -> Response:
        """Claim this case. One's own live claim is answered again, renewed."""
        self.body(Nothing)
        return Response(ClaimSerializer(worklist.claim(by=self.person, case=self.get_object())).data)

    @extend_schema(request=TakeOver, responses=ClaimSerializer)
    @action(detail=True, methods=["post"], url_path="take-over")
    def take_over(self, request: Request, **kwargs: object) -> Response:
        """Take a case that somebody else holds; says why."""
        case, given = self.get_object(), self.body(TakeOver)
        return Response(ClaimSerializer(worklist.take_over(by=self.person, case=case, reason=given["reason"])).data)

    @extend_schema(request=GivenBack, responses={204: OpenApiResponse(description="Given back.")})
    @action(detail=True, methods=["post"])
    def release(self, request: Request, **kwargs: object) -> Response:
        """Give the case back unread."""
        case, given = self.get_object(), self.body(GivenBack)
        own = live_claim(self.person, case)
        worklist.release(by=self.person, case=case, claim_token=given.get("claim_token", own and own.token))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=ClaimToken, responses=ClaimSerializer)
    @action(detail=True, methods=["post"])
    def renew(self, request: Request, **kwargs: object) -> Response:
        """Extend the lease, because the reader is at work."""
        case, given = self.get_object(), self.body(ClaimToken)
        return Response(
            ClaimSerializer(worklist.renew(by=self.person, case=case, claim_token=given["claim_token"])).data
        )

    @extend_schema(responses=ReadSerializer(many=True))
    @action(detail=True)
    def reads(self, request: Request, **kwargs: object) -> Response:
        """The reads of this case that this person may see, in the order in which they were made."""
        self.ordered_by = "created_at"
        page: Any = self.paginate_queryset(reads_for(self.person).filter(case=self.get_object()))
        return self.get_paginated_response(ReadSerializer(page, many=True, context=self.get_serializer_context()).data)

    @extend_schema(request=NewRead, responses={201: ReadSerializer})
    @reads.mapping.post
    def record(self, request: Request, **kwargs: object) -> Response:
        """Record the blind or the final read. The final read ends the case and its claim."""
        case, given = self.get_object(), self.body(NewRead)
        read = reading.record_read(
            by=self.person,
            case=case,
            claim_token=given["claim_token"],
            kind=given["stage"],
            scan_revision=given.get("scan_revision"),
            **stated(given),
        )
        shape = ReadSerializer(reads_for(self.person).get(pk=read.pk), context=self.get_serializer_context()).data
        return Response(shape, status=status.HTTP_201_CREATED)

    @extend_schema(responses=AnnotationSerializer(many=True))
    @action(detail=True)
    def annotations(self, request: Request, **kwargs: object) -> Response:
        """Every revision of the marks on this case's image that this person may see, oldest first."""
        self.ordered_by = "created_at"
        page: Any = self.paginate_queryset(annotations_for(self.person).filter(case=self.get_object()))
        shape = AnnotationSerializer(page, many=True, context=self.get_serializer_context())
        return self.get_paginated_response(shape.data)

    @extend_schema(request=NewAnnotation, responses={201: AnnotationSerializer})
    @annotations.mapping.post
    def mark(self, request: Request, **kwargs: object) -> Response:
        """Mark the image, change one's own mark, or withdraw it. Needs the claim, or one's own final read."""
        case, given = self.get_object(), self.body(NewAnnotation)
        (kept,) = annotate(by=self.person, case=case, changes=[change_of(given)])
        shape = AnnotationSerializer(
            annotations_for(self.person).get(pk=kept.pk), context=self.get_serializer_context()
        )
        return Response(shape.data, status=status.HTTP_201_CREATED)

    def _detail(self, case: Case) -> Response:
        shown = self.get_queryset().get(pk=case.pk)
        return Response(CaseDetail(shown, context=self.get_serializer_context()).data)

    @extend_schema(request=Question, responses=CaseDetail)
    @action(detail=True, methods=["post"], url_path="second-opinion")
    def second_opinion(self, request: Request, **kwargs: object) -> Response:
        """Ask for a second reader, who reads blind to the first. One's own read is still to be given."""
        case, given = self.get_object(), self.body(Question)
        return self._detail(double_reading.ask_second_opinion(by=self.person, case=case, **given))

    @extend_schema(request=Return, responses=CaseDetail)
    @action(detail=True, methods=["post"], url_path="return")
    def return_to_reader(self, request: Request, **kwargs: object) -> Response:
        """Send a disagreement back to one of its readers instead of settling it."""
        case, given = self.get_object(), self.body(Return)
        return self._detail(double_reading.return_case(by=self.person, case=case, **given))

    @extend_schema(request=Recall, responses=CaseDetail)
    @action(detail=True, methods=["post"])
    def recall(self, request: Request, **kwargs: object) -> Response:
        """Take a returned case back, to settle it all the same."""
        case, given = self.get_object(), self.body(Recall)
        return self._detail(double_reading.recall(by=self.person, case=case, reason=given["reason"]))

    @extend_schema(responses=Talk)
    @action(detail=True)
    def thread(self, request: Request, **kwargs: object) -> Response:
        """Both readers' statements, unnamed, for the adjudicator at work; and the comments that one may see."""
        return self._talk(self.get_object())

    def _talk(self, case: Case, code: int = status.HTTP_200_OK) -> Response:
        said = {"statements": statements_for(self.person, case), "comments": thread_of(self.person, case)}
        return Response(Talk(said).data, status=code)

    @extend_schema(request=Answer, responses={201: Talk})
    @thread.mapping.post
    def answer(self, request: Request, **kwargs: object) -> Response:
        """Answer the adjudicator who returned the case to this person."""
        case, given = self.get_object(), self.body(Answer)
        double_reading.answer(by=self.person, case=case, comment=given["comment"])
        return self._talk(case, status.HTTP_201_CREATED)

    @extend_schema(responses=RemarkSerializer(many=True))
    @action(detail=True)
    def comments(self, request: Request, **kwargs: object) -> Response:
        """The entries of this case's thread that this person may see, oldest first."""
        self.ordered_by = "created_at"
        found = comments_for(self.person).filter(case=self.get_object()).select_related("author", "case__institution")
        shape = RemarkSerializer(self.paginate_queryset(found), many=True, context=self.get_serializer_context())
        return self.get_paginated_response(shape.data)

    @extend_schema(request=NewRemark, responses={201: RemarkSerializer})
    @comments.mapping.post
    def comment(self, request: Request, **kwargs: object) -> Response:
        """Write into the thread. While the case is open it reaches nobody whom it could sway."""
        case, given = self.get_object(), self.body(NewRemark)
        made = review_comments.comment(by=self.person, case=case, text=given["text"])
        shape = RemarkSerializer(made, context=self.get_serializer_context()).data
        return Response(shape, status=status.HTTP_201_CREATED)

    @extend_schema(responses={(200, "application/pdf"): bytes})
    @action(detail=True)
    def report(self, request: Request, **kwargs: object) -> Any:
        """The case as a PDF, with what this person may see of it: image, marks, reads by role, the AI's opinion."""
        case = self.get_object()
        if request.method != "HEAD" and case.blinded and status_of(case.scan) == "ready":  # told in the document
            reading.reveal_scans(by=self.person, scans=[case.scan_id])
        try:
            data = export_report(by=self.person, case=case)
        except FileNotFoundError:
            raise Http404 from None
        return document(data, name=f"report-{case.pk}.pdf")
