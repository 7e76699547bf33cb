"""Annotations: marks on the image of a case, revision by revision."""

import uuid
from typing import Any

from rest_framework import serializers

from diagnostics.annotations.models import Annotation, Kind
from diagnostics.annotations.services import MAX_TEXT, MOST_POINTS, Change

from .strict import InputSerializer, OneOf

POINTS = "[[x, y], …] in image pixels from the outer corner of the first pixel; its middle is [0.5, 0.5]."


class Points(serializers.ListField):
    """A list of [x, y]."""

    def __init__(self, **kwargs: Any) -> None:
        pair = serializers.ListField(child=serializers.FloatField(), min_length=2, max_length=2)
        super().__init__(child=pair, max_length=MOST_POINTS, help_text=POINTS, **kwargs)


class AnnotationSerializer(serializers.Serializer[Annotation]):
    """One revision of a mark. Never edited: a higher revision supersedes it."""

    id = serializers.UUIDField()
    mark = serializers.UUIDField(help_text="Shared by all revisions of one mark.")
    revision = serializers.IntegerField()
    case = serializers.UUIDField(source="case_id")
    author = serializers.CharField(source="author.username")
    kind = serializers.ChoiceField(choices=Kind.values)
    points = Points()
    image = serializers.IntegerField(source="index", help_text="Index of the image in the stack, from 0.")
    text = serializers.CharField()
    unit = serializers.ChoiceField(choices=["mm", "px"], help_text="What lengths can be given in.")
    row_spacing = serializers.FloatField(allow_null=True, help_text="Millimetres from row to row.")
    column_spacing = serializers.FloatField(allow_null=True, help_text="Millimetres from column to column.")
    pixel_aspect = serializers.FloatField(
        help_text="Height of a pixel by its width, also where there are no millimetres."
    )
    withdrawn = serializers.BooleanField(help_text="The author took the mark away.")
    superseded = serializers.BooleanField(help_text="A newer revision stands beside it.")
    created_at = serializers.DateTimeField()


class NewAnnotation(InputSerializer):
    """A mark as it shall be."""

    mark = serializers.UUIDField(required=False, help_text="One's own mark to change; left out for a new one.")
    revision = serializers.IntegerField(
        required=False, min_value=0, max_value=1_000_000, default=0, help_text="The revision seen, 0 for a new mark."
    )
    kind = OneOf(choices=Kind.values, required=False, help_text="Needed unless withdrawn.")
    points = Points(required=False, default=list)
    image = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=1_000_000,
        help_text="Index of the image in the stack; needed for a new mark on a scan of several images.",
    )
    text = serializers.CharField(required=False, allow_blank=True, default="", max_length=MAX_TEXT)
    withdrawn = serializers.BooleanField(required=False, default=False)


def change_of(given: dict[str, Any]) -> Change:
    """A checked body in the domain's words."""
    return Change(
        mark=given.get("mark") or uuid.uuid4(),
        base=given["revision"],
        kind=given.get("kind", ""),
        points=given["points"],
        text=given["text"],
        withdrawn=given["withdrawn"],
        image=given["image"],
    )
