"""Institutions, who belongs to them, and what they were told."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor, account_of
from diagnostics.models import Institution, Membership, ModelAdministrator, Notification
from diagnostics.scans.access import READING_ROLES, Permission, institutions_where, may
from diagnostics.scans.institutions import POLICIES, change_institution, make_institution

from .base import ReadOnlyModelAdmin, by_institution, column, fields_of


class InstitutionForm(ModelForm):
    """Name and how cases are read; the code only at the beginning, for commands and programs rely on it."""

    class Meta:
        model = Institution
        fields = ("code", "name", "reading_mode", *POLICIES)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in POLICIES:
            self.fields[name].required = False

    def clean(self) -> dict[str, object]:
        """A policy that is left out stays as it is."""
        cleaned: dict[str, object] = super().clean() or {}
        for name in POLICIES:
            if cleaned.get(name) in (None, "") and name not in self.errors:
                cleaned[name] = getattr(self.instance, name)
        return cleaned


@admin.register(Institution)
class InstitutionAdmin(ReadOnlyModelAdmin):
    """Institutions that one administers. A new one is made by the administrator of the installation."""

    sees = Permission.ADMINISTER
    form = InstitutionForm
    list_display = ("name", "code", "reading_mode", "second_reader", "created_at")
    search_fields = ("name", "code")

    def visible(self, user: Actor) -> "QuerySet[Institution]":
        return institutions_where(user, Permission.ADMINISTER)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, Permission.ADMINISTER, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("code",) if obj else ()

    def save_model(self, request: HttpRequest, obj: Any, form: object, change: bool) -> None:
        """Whatever the form says goes through the audited service."""
        said = {name: getattr(obj, name) for name in ("name", "reading_mode", *POLICIES)}
        if change:
            change_institution(by=request.user, institution=obj, **said)
        else:
            obj.pk = make_institution(by=request.user, code=obj.code, **said).pk


@admin.register(Membership)
class MembershipAdmin(ReadOnlyModelAdmin):
    """Who has which role where. Roles are given and taken on the person's page, where the acts are."""

    sees = Permission.ADMINISTER
    list_display = ("person", "role", "institution", "created_at")
    list_display_links = None
    list_select_related = ("user", "institution")
    list_filter = (by_institution("institution", Permission.ADMINISTER), "role")
    search_fields = ("user__username", "user__last_name")

    def visible(self, user: Actor) -> "QuerySet[Membership]":
        return Membership.objects.filter(institution__in=institutions_where(user, Permission.ADMINISTER))

    @column(_("person"), "user__username")
    def person(self, row: Membership) -> SafeString | str:
        try:
            page = reverse("admin:accounts_user_role", args=[row.user_id])
        except NoReverseMatch:
            return str(row.user)
        return format_html('<a href="{}">{}</a>', page, row.user)


@admin.register(ModelAdministrator)
class ModelAdministratorAdmin(ReadOnlyModelAdmin):
    """Who may change the model that all institutions share. Appointed on the person's page, by a superuser."""

    sees = Permission.ADMINISTER
    list_display = ("user", "created_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "user__last_name")

    def visible(self, user: Actor) -> "QuerySet[ModelAdministrator]":
        rows = ModelAdministrator.objects.all()
        return rows if may(user, Permission.ADMINISTER) else rows.none()


@admin.register(Notification)
class NotificationAdmin(ReadOnlyModelAdmin):
    """What people were told, and whether its mail left. Of cases only where one reads none oneself: that a case waits
    for an adjudicator is no business of whoever may still be asked to read it."""

    sees = Permission.ADMINISTER
    list_display = ("__str__", "recipient", "institution", "kind", "created_at", "read_at", "mail_state")
    list_select_related = ("recipient", "institution")
    list_filter = (by_institution("institution", Permission.ADMINISTER), "kind", "mail_state")
    search_fields = ("=recipient__username",)
    fields = fields_of(Notification, without=("mail_fence",))

    def visible(self, user: Actor) -> "QuerySet[Notification]":
        reads_in = account_of(user).memberships.filter(role__in=READING_ROLES).values("institution")
        theirs = Notification.objects.filter(institution__in=institutions_where(user, Permission.ADMINISTER))
        return theirs.exclude(institution__in=reads_in, case__isnull=False)
