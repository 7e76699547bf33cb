"""What a reader states, as serializers: made of the table of :mod:`diagnostics.reviews.reading.statement`."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from diagnostics.reviews.reading import Door, Field, Kind, Said, through

from .strict import ImageNumbersField, InputSerializer, OneOf

Fields = dict[str, Any]  # of a serializer: the stubs know no better


class _ChoiceOrNull(serializers.ChoiceField):
    """A code, or null where nothing was chosen."""

    def to_representation(self, value: str) -> Any:
        return super().to_representation(value) or None


def told() -> Fields:
    """The fields of an answer that shows a read."""
    return {each.name: _told(each) for each in through(Door.API_READ)}


def _told(each: Field) -> serializers.Field[Any, Any, Any, Any]:
    if each.kind == Kind.YES_NO:
        return serializers.BooleanField(help_text=each.help)
    if each.kind in (Kind.TEXT, Kind.IMAGES):
        return serializers.CharField(help_text=each.help)
    if each.default or each.required:
        return serializers.ChoiceField(choices=each.codes, help_text=each.help)
    return _ChoiceOrNull(choices=each.codes, allow_null=True, read_only=True, help_text=each.help)


def taken() -> Fields:
    """The fields of a body that states a read."""
    return {each.name: _taken(each) for each in through(Door.API_WRITE)}


def _taken(each: Field) -> serializers.Field[Any, Any, Any, Any]:
    if each.required:
        return OneOf(choices=each.codes, help_text=each.help)
    optional: dict[str, Any] = {"required": False, "allow_null": True, "help_text": each.help}
    if each.kind == Kind.YES_NO:
        return serializers.BooleanField(**optional)
    if each.kind == Kind.IMAGES:
        return ImageNumbersField(**optional, allow_blank=True, max_length=each.limit)
    if each.kind == Kind.TEXT:
        return serializers.CharField(**optional, allow_blank=True, max_length=each.limit)
    return OneOf(**optional, choices=each.codes, allow_blank=not each.default)


def filters() -> Fields:
    """The fields by which a list of reads is narrowed."""
    return {
        each.name: serializers.BooleanField(required=False)
        if each.kind == Kind.YES_NO
        else OneOf(choices=each.codes, required=False)
        for each in through(Door.API_FILTER)
    }


class Statement(InputSerializer):
    """What a reader states."""

    def get_fields(self) -> Fields:
        return {**taken(), **super().get_fields()}


def stated(given: Mapping[str, Any]) -> Said:
    """A checked statement in the domain's words: what is null was left out."""
    known: Any = {each.name: given[each.name] for each in through(Door.API_WRITE) if given.get(each.name) is not None}
    said: Said = known
    return said
