"""What every page of the domain in the admin has in common: who sees it, and that nothing is edited in place."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.scans.access import NotAllowed, Permission, institutions_where, may

from .counting import CappedList, CappedPaginator


class ReadOnlyModelAdmin(admin.ModelAdmin):
    """A table to look at. What a person may see is what ``visible`` gives; rows of others do not exist for them."""

    sees: Permission
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a count over the whole table for each choice of each filter
    paginator = CappedPaginator
    actions = None
    list_per_page = 50

    def visible(self, user: Actor) -> "QuerySet[Model]":
        """The rows that ``user`` may see."""
        raise NotImplementedError

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Model]":
        rows = self.visible(request.user)
        ordering = self.get_ordering(request)
        return rows.order_by(*ordering) if ordering else rows

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may(request.user, self.sees)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return may(request.user, self.sees)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: object) -> type[ChangeList]:
        return CappedList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        # Django's own title would say "Select … to view", which nobody needs to be told.
        title = {"title": str(self.model._meta.verbose_name_plural).capitalize()}
        return super().changelist_view(request, {**title, **(extra_context or {})})

    def act_page(
        self,
        request: HttpRequest,
        *,
        title: str,
        template: str = "admin/diagnostics/act.html",
        status: int = 200,
        **context: object,
    ) -> HttpResponse:
        """A page on which an act is looked at and confirmed."""
        shared = {**self.admin_site.each_context(request), "opts": self.model._meta, "title": title}
        return TemplateResponse(request, template, {**shared, **context}, status=status)

    def needs(self, request: HttpRequest, permission: Permission) -> None:
        """Raise unless the person has ``permission`` somewhere; the service asks again, in the right place."""
        if not may(request.user, permission):
            raise NotAllowed(_("Your role does not include this."))


def by_institution(path: str, permission: Permission) -> type[admin.SimpleListFilter]:
    """A filter that names only the institutions in which the person has ``permission``."""

    class ByInstitution(admin.SimpleListFilter):
        title = _("institution")
        parameter_name = "institution"

        def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
            return [(place.code, place.name) for place in institutions_where(request.user, permission)]

        def queryset(self, request: HttpRequest, rows: "QuerySet[Model]") -> "QuerySet[Model]":
            return rows.filter(**{f"{path}__code": self.value()}) if self.value() else rows

    return ByInstitution


def by_words(name: str, words: Iterable[str]) -> type[admin.SimpleListFilter]:
    """A filter over the words that a column may hold; Django's own reads the whole table to find them."""

    class ByWord(admin.SimpleListFilter):
        title = name.replace("_", " ")
        parameter_name = name

        def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
            return [(word, word.replace("_", " ")) for word in words]

        def queryset(self, request: HttpRequest, rows: "QuerySet[Model]") -> "QuerySet[Model]":
            return rows.filter(**{name: self.value()}) if self.value() else rows

    return ByWord


def column(text: Any, order: str | None = None) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """A computed column's heading and order."""
    return admin.display(description=text, ordering=order)


def fields_of(model: type[Model], *, without: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Every field of a model that people can make sense of."""
    return tuple(field.name for field in model._meta.fields if field.name not in without)
