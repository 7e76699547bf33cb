"""What is said about a case: both readers' statements for an adjudicator, and the entries of its thread."""

from typing import Any

from rest_framework import serializers

from diagnostics.limits import LONGEST_TEXT
from diagnostics.models import Comment
from diagnostics.reviews.models import CommentKind
from diagnostics.reviews.reading import Door, through
from diagnostics.reviews.thread import READERS, who_wrote

from .strict import InputSerializer


class StatementSerializer(serializers.Serializer[object]):
    """What one of two readers said, without who it was; a comment only from a blind read by which they stood."""

    reader = serializers.ChoiceField(choices=list(READERS))

    def get_fields(self) -> dict[str, Any]:
        """The reader, then what they said."""
        said = {each.name: serializers.CharField(source=f"said.{each.name}") for each in through(Door.THREAD)}
        return {**super().get_fields(), **said}


class CommentSerializer(serializers.Serializer[object]):
    """A comment; while the case is open its author is a role."""

    at = serializers.DateTimeField()
    who = serializers.CharField()
    kind = serializers.ChoiceField(choices=CommentKind.values)
    text = serializers.CharField()


class RemarkSerializer(serializers.Serializer[object]):
    """One entry of a case's thread; while the case is open its author may be a role."""

    id = serializers.UUIDField()
    at = serializers.DateTimeField(source="created_at")
    who = serializers.SerializerMethodField()
    kind = serializers.ChoiceField(choices=CommentKind.values)
    text = serializers.CharField()

    def get_who(self, comment: Comment) -> str:
        return who_wrote(self.context["request"].user, comment)


class NewRemark(InputSerializer):
    text = serializers.CharField(
        max_length=LONGEST_TEXT, help_text="`@username` notifies a colleague who may see the case."
    )


class Talk(serializers.Serializer[object]):
    """What readers and adjudicator of a case tell each other, as far as this person may know it."""

    statements = StatementSerializer(many=True, help_text="For the adjudicator who holds the case; else empty.")
    comments = CommentSerializer(many=True)
