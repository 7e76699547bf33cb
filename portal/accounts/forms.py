"""Forms around an account."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from diagnostics.notifications.models import Kind, NotificationChoices

from . import attempts
from .models import Scope, User
from .services import MAX_TOKEN_DAYS, note

DEFAULT_TOKEN_DAYS = 90


class SignInForm(AuthenticationForm):
    """Name and password, with a pause after too many failures."""

    request: HttpRequest
    error_messages = {
        "invalid_login": _("That name and password do not belong together. Both are case-sensitive."),
        "inactive": _("That name and password do not belong together. Both are case-sensitive."),
        "too_many": _(
            "Too many failed attempts from here. Wait %(minutes)d minutes, or reset your password in the meantime."
        ),
    }

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username", "")
        # Asked before the password is looked at: a right guess during the pause must look like a wrong one.
        if attempts.too_many(self.request, username):
            raise ValidationError(
                self.error_messages["too_many"],
                code="too_many",
                params={"minutes": attempts.WINDOW_SECONDS // 60},
            )
        try:
            cleaned = super().clean()
        except ValidationError:
            attempts.count_failure(self.request, username)
            known = User.objects.filter(username=username).first()
            if known is not None:
                note(act="sign_in_failed", user=known)
            raise
        attempts.forget(self.request, username)
        return cleaned


class TokenForm(forms.Form):
    """What a new API token is for."""

    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        help_text=_("What it is for, so that you recognise it later."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    days = forms.IntegerField(
        label=_("Days until it expires"), min_value=1, max_value=MAX_TOKEN_DAYS, initial=DEFAULT_TOKEN_DAYS
    )
    scopes = forms.MultipleChoiceField(
        label=_("May be used to"),
        choices=Scope.choices,
        initial=[Scope.READ],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one use.")},
    )


class OwnDetailsForm(forms.ModelForm):
    """What a person may change about themselves."""

    language = forms.ChoiceField(
        label=_("Language"),
        required=False,
        choices=[("", _("As the browser asks")), *settings.LANGUAGES],
    )

    class Meta:
        model = User
        fields = ("first_name", "last_name", "email", "language")
        help_texts = {"email": _("Where a link goes when you have forgotten your password.")}


class NotificationsForm(forms.Form):
    """What one wants to be told, and how."""

    in_portal = forms.MultipleChoiceField(label=_("In the portal"), required=False, choices=Kind.choices)
    by_mail = forms.MultipleChoiceField(label=_("By mail"), required=False, choices=Kind.choices)
    digest = forms.ChoiceField(
        label=_("Mails come"),
        choices=[("", _("one by one, as it happens")), ("1", _("once a day, all in one"))],
        required=False,
        widget=forms.RadioSelect,
    )

    @classmethod
    def of(cls, choices: NotificationChoices) -> "NotificationsForm":
        """The form as ``choices`` fill it."""
        return cls(
            initial={
                "in_portal": [kind for kind in Kind.values if kind not in choices.not_in_portal],
                "by_mail": [kind for kind in Kind.values if kind not in choices.not_by_mail],
                "digest": "1" if choices.digest else "",
            }
        )

    def rows(self) -> list[tuple[str, Any, bool, bool]]:
        """(code, words, in the portal, by mail) for each kind."""
        shown = {name: self[name].value() or [] for name in ("in_portal", "by_mail")}
        return [
            (kind.value, kind.label, kind.value in shown["in_portal"], kind.value in shown["by_mail"]) for kind in Kind
        ]
