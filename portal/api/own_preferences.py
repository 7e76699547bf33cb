"""What a person has set for the pages on which they read."""

from typing import ClassVar

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from portal.accounts import preferences
from portal.accounts.keys import MAX_KEY, PAGES, PageKeys
from portal.accounts.models import Scope

from .problems import InvalidInput
from .resource import BaseViewSet
from .strict import InputSerializer

KEYS_HELP = "By action. A letter, digit or sign, `Space`, `Shift+1`; empty where an action has none."


class HabitsSerializer(serializers.Serializer[object]):
    """The keys that work for this person, by page, and whether the next case opens after a final read."""

    goes_on = serializers.BooleanField()
    reading = serializers.DictField(child=serializers.CharField(), help_text=KEYS_HELP)
    worklist = serializers.DictField(child=serializers.CharField(), help_text=KEYS_HELP)


def _some_keys() -> serializers.DictField:
    child = serializers.CharField(max_length=MAX_KEY, allow_blank=True, trim_whitespace=False)
    return serializers.DictField(child=child, required=False, help_text=KEYS_HELP)


class NewHabits(InputSerializer):
    """What is left out stays as it is."""

    goes_on = serializers.BooleanField(required=False)
    reading = _some_keys()
    worklist = _some_keys()


class OwnPreferencesView(BaseViewSet):
    """One's own keys and preferences of reading."""

    serializer_class = HabitsSerializer
    scopes: ClassVar[dict[str, str]] = {"choose": Scope.REVIEW}

    @extend_schema(responses=HabitsSerializer)
    def show(self, request: Request) -> Response:
        """The keys that work for this person, and what follows a read."""
        keys = {page: PageKeys(self.person, page).by_action for page in PAGES}
        return Response(HabitsSerializer({"goes_on": preferences.auto_advance(self.person), **keys}).data)

    @extend_schema(request=NewHabits, responses=HabitsSerializer)
    @transaction.atomic
    def choose(self, request: Request) -> Response:
        """Change some of them. Two actions of a page with one key are refused, and then nothing is changed."""
        wanted = self.body(NewHabits)
        for page in PAGES:
            if page in wanted:
                try:
                    preferences.choose_keys(by=self.person, page=page, keys=wanted[page])
                except preferences.BadKeys as refused:
                    raise InvalidInput({page: list(refused.sentences.values())}) from None
        if "goes_on" in wanted:
            preferences.choose_after_submitting(by=self.person, auto_advance=wanted["goes_on"])
        return self.show(request)
