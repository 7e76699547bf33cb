"""Forms around an account."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnostics.notifications.models import Kind, NotificationChoices
from portal.accounts.signed_in import person_of

from . import attempts, freshness
from .models import ApiToken, Scope, User
from .passwords import usable_tokens
from .services import MAX_TOKEN_DAYS, note

DEFAULT_TOKEN_DAYS = 90


class SignInForm(AuthenticationForm):
    """Name and password, with a pause after too many failures."""

    request: HttpRequest
    error_messages = {
        "invalid_login": _("Incorrect username or password."),
        "inactive": _("Incorrect username or password."),
        "too_many": _("Too many failed attempts. Wait %(minutes)d minutes, or reset your password."),
    }

    def clean(self) -> dict[str, object]:
        username = self.cleaned_data.get("username", "")
        counts = attempts.counts_of(self.request, username)
        try:
            # Before the password is looked at: a right guess during the pause must look like a wrong one.
            attempts.take(counts)
        except attempts.TooMany as error:
            raise ValidationError(
                self.error_messages["too_many"], code="too_many", params={"minutes": error.minutes}
            ) from None
        try:
            cleaned = super().clean()
        except ValidationError:
            known = User.objects.named(username).first()
            if known is not None:
                note(act="sign_in_failed", user=known, address=attempts.address_of(self.request))
            raise
        attempts.give_back(counts)
        return cleaned


class OwnPasswordMixin:
    """A form whose field ``old_password`` is looked at as often as is allowed."""

    request: HttpRequest
    cleaned_data: dict[str, Any]

    def clean_old_password(self) -> str:
        given: str = self.cleaned_data["old_password"]
        try:
            freshness.check_own_password(self.request, given)
        except freshness.NotFresh as refusal:
            raise ValidationError(str(refusal), code="password_incorrect") from None
        return given


class TokensMixin(forms.Form):
    """Offers the person's usable tokens for revoking. Whoever was not asked gets what is offered at first."""

    offered = forms.BooleanField(required=False, initial=True, widget=forms.HiddenInput)
    tokens = forms.MultipleChoiceField(
        label=_("Revoke these API tokens"), required=False, widget=forms.CheckboxSelectMultiple
    )
    ticked = True

    def offer(self, tokens: list[ApiToken]) -> None:
        """Fill in the choices."""
        self.usable = tokens
        field: Any = self.fields["tokens"]
        field.choices = [(str(token.pk), _in_a_line(token)) for token in tokens]
        field.initial = [str(token.pk) for token in tokens] if self.ticked else []

    def chosen(self) -> list[ApiToken]:
        """The tokens to revoke."""
        if not self.cleaned_data.get("offered"):
            return self.usable if self.ticked else []
        wanted = set(self.cleaned_data["tokens"])
        return [token for token in self.usable if str(token.pk) in wanted]


def _in_a_line(token: ApiToken) -> str:
    used = date_format(localtime(token.last_used_at), "SHORT_DATETIME_FORMAT") if token.last_used_at else _("never")
    return gettext("%(name)s (%(start)s…), created %(made)s, last used %(used)s, expires %(ends)s") % {
        "name": token.name,
        "start": token.start,
        "made": date_format(localtime(token.created_at), "SHORT_DATE_FORMAT"),
        "used": used,
        "ends": date_format(localtime(token.expires_at), "SHORT_DATE_FORMAT"),
    }


class OwnPasswordForm(OwnPasswordMixin, TokensMixin, PasswordChangeForm):
    """A new password, and which tokens end with the old one."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.offer(usable_tokens(self.user))


class AddressForm(OwnPasswordMixin, TokensMixin):
    """Another mail address, with the password that shows who asks."""

    address = forms.EmailField(label=_("New email address"), max_length=254)
    old_password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    ticked = False

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.offer(usable_tokens(person_of(request)))

    def clean_address(self) -> str:
        address: str = self.cleaned_data["address"]
        if address == person_of(self.request).email:
            raise ValidationError(gettext("This is already your address."))
        return address


class AgainForm(forms.Form):
    """The password once more."""

    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )


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
        label=_("Scopes"),
        choices=Scope.choices,
        initial=[Scope.READ],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one scope.")},
    )


class OwnDetailsForm(forms.ModelForm):
    """What a person may change about themselves."""

    language = forms.ChoiceField(
        label=_("Language"),
        required=False,
        choices=[("", _("Browser language")), *settings.LANGUAGES],
    )

    class Meta:
        model = User
        fields = ("first_name", "last_name", "language")


class NotificationsForm(forms.Form):
    """What one wants to be told, and how."""

    in_portal = forms.MultipleChoiceField(label=_("In the portal"), required=False, choices=Kind.choices)
    by_mail = forms.MultipleChoiceField(label=_("By mail"), required=False, choices=Kind.choices)
    digest = forms.ChoiceField(
        label=_("Send emails"),
        choices=[("", _("one at a time, immediately")), ("1", _("once a day, all in one email"))],
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
