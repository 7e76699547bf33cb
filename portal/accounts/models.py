"""People who sign in, and the tokens with which their programs do."""

import hashlib
import secrets
from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.errors import Invalid
from diagnostics.scans.folding import FoldedField, folded


class People(UserManager["User"]):
    """Accounts, found by their names without regard to the case of letters."""

    def named(self, username: str) -> Any:
        """The account of this name, as a queryset of one or none."""
        return self.filter(username_folded=folded(username.strip()))

    def get_by_natural_key(self, username: str | None) -> Any:
        """What Django signs in by."""
        return self.get(username_folded=folded((username or "").strip()))


class User(AbstractUser):
    """A person or a service account. Where they belong is a Membership, never a field here."""

    # Wider than the name: some letters fold to several.
    username_folded = FoldedField(of="username", max_length=600, unique=True)
    language = models.CharField(
        _("language"),
        max_length=8,
        blank=True,
        default="",
        # Without the languages themselves, so that a new one is no change of the database.
        help_text=_("For pages and emails. If empty, pages use the browser's language."),
    )

    objects: ClassVar[People] = People()

    class Meta(AbstractUser.Meta):
        verbose_name = _("person")  # type: ignore[assignment]
        verbose_name_plural = _("people")  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    def clean(self) -> None:
        """Refuse a name that differs from somebody's only in the case of its letters."""
        super().clean()
        if User.objects.named(self.username).exclude(pk=self.pk).exists():
            raise ValidationError({"username": _("This name is taken. Upper and lower case do not differ.")})


class Scope(models.TextChoices):
    """What a token may be used for, within what its person may do anyway."""

    READ = "read", _("View details")
    SUBMIT = "submit", _("Upload scans")
    REVIEW = "review", _("Claim cases and record reads")
    LEARN = "learn", _("Freeze datasets, start training, promote")
    MANAGE = "manage", _("Manage webhooks")


class ApiToken(models.Model):
    """A bearer token: only its hash is kept, so it can be shown once and never again."""

    PREFIX: ClassVar[str] = "ovr_"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80, help_text=_("What it is for, for later reference."))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    start = models.CharField(max_length=12, editable=False, help_text=_("First characters, for recognition."))
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        verbose_name = _("API token")

    def __str__(self) -> str:
        return f"{self.name} ({self.start}…)"

    @staticmethod
    def digest_of(token: str) -> str:
        """SHA-256 suffices: the token is 256 random bits, so there is nothing to guess from a stolen hash."""
        return hashlib.sha256(token.encode()).hexdigest()

    @property
    def usable(self) -> bool:
        return self.revoked_at is None and self.expires_at > timezone.now() and self.user.is_active


def issue_token(*, user: User, name: str, scopes: list[str], expires_at: datetime) -> tuple[ApiToken, str]:
    """Make a token; the second value is the token itself and exists only now.

    Raises
    ------
    Invalid
        For an unknown scope, or an end that has passed.
    """
    unknown = sorted(set(scopes) - set(Scope.values))
    if unknown or not scopes:
        raise Invalid(
            _("Unknown scope %(unknown)s. Known scopes: %(known)s."),
            {"unknown": ", ".join(unknown) or _("(none given)"), "known": ", ".join(Scope.values)},
            field="scopes",
        )
    if expires_at <= timezone.now():
        raise Invalid(
            _("The token would already have expired. Choose an expiry date in the future."), field="expires_at"
        )
    token = ApiToken.PREFIX + secrets.token_urlsafe(32)
    row = ApiToken.objects.create(
        user=user,
        name=name,
        digest=ApiToken.digest_of(token),
        start=token[:8],
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
    )
    return row, token


class AttemptCount(models.Model):
    """How many passwords were about to be looked at for one name, address or device (``attempts``)."""

    key = models.CharField(max_length=64, primary_key=True)
    count = models.PositiveIntegerField()
    ends_at = models.FloatField(db_index=True, help_text="Seconds of the clock at which the count begins anew.")

    def __str__(self) -> str:
        return f"{self.count} until {self.ends_at:.0f}"


class OpenSession(models.Model):
    """A session in which somebody is signed in, as its person sees it (``sessions``)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="open_sessions")
    session_key = models.CharField(max_length=40, unique=True)
    address = models.CharField(max_length=45, blank=True, default="")
    agent = models.CharField(max_length=300, blank=True, default="", help_text="What the browser says it is.")
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["-seen_at", "-pk"]

    def __str__(self) -> str:
        return f"session {self.pk}"


class AddressChange(models.Model):
    """A new mail address that waits for the link in the mail to it (``addresses``)."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="address_change")
    address = models.EmailField()
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the word in the link.")
    asked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"address change {self.pk}"


class OwnKey(models.Model):
    """One key as a person has it on one page. Whoever changed any key has a row for each action of that page."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="own_keys")
    page = models.CharField(max_length=16, choices=[("reading", "Reading page"), ("worklist", "Worklist")])
    action = models.CharField(max_length=32)
    key = models.CharField(max_length=8, blank=True, default="", help_text="Empty where the action has none.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "page", "action"], name="one_key_per_action"),
            models.UniqueConstraint(
                fields=["user", "page", "key"], condition=~models.Q(key=""), name="one_action_per_key"
            ),
            models.CheckConstraint(condition=models.Q(page__in=["reading", "worklist"]), name="key_of_a_known_page"),
        ]

    def __str__(self) -> str:
        return f"{self.action}: {self.key or 'no key'}"


class Preferences(models.Model):
    """How a person likes to read, where that is not as delivered."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="preferences")
    auto_advance = models.BooleanField(default=True, help_text="After submitting the next case opens by itself.")

    def __str__(self) -> str:
        return f"preferences {self.pk}"


class KeptAnswer(models.Model):
    """What the API answered to a request that carried an ``Idempotency-Key``: the same again gets the same answer."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    address = models.CharField(max_length=200)
    body_sha256 = models.CharField(max_length=64)
    standing = models.CharField(max_length=64, help_text=_("Hash of the person's roles and scopes at that time."))
    status = models.PositiveSmallIntegerField(default=0)
    body = models.JSONField(null=True)
    location = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "key", "address"], name="one_answer_per_key"),
        ]

    def __str__(self) -> str:
        return f"answer {self.pk}"
