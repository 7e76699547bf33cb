"""Webhooks and what each was told. They are made on the portal's page, where their secret is shown once."""

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from diagnostics.actors import Actor
from diagnostics.models import Webhook, WebhookDelivery
from diagnostics.scans.access import Permission
from diagnostics.webhooks import services

from .base import ReadOnlyModelAdmin, by_institution, fields_of


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyModelAdmin):
    """Webhooks of the institutions that one administers."""

    sees = Permission.ADMINISTER
    list_display = ("__str__", "url", "institution", "active", "with_patient", "created_at")
    list_select_related = ("institution",)
    list_filter = (by_institution("institution", Permission.ADMINISTER), "active")
    search_fields = ("=id", "url", "description")
    fields = fields_of(Webhook, without=("secret", "former_secret"))

    def visible(self, user: Actor) -> "QuerySet[Webhook]":
        return services.webhooks_for(user)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyModelAdmin):
    """What webhooks were told, with what was sent and what was answered. *Redeliver* sends it once more."""

    sees = Permission.ADMINISTER
    list_display = ("__str__", "webhook", "institution", "state", "status", "tries", "failure", "created_at")
    list_select_related = ("webhook", "institution")
    list_filter = (by_institution("institution", Permission.ADMINISTER), "state", "event")
    search_fields = ("=webhook__id", "=event_id", "=subject")
    fields = fields_of(WebhookDelivery, without=("fence",))
    change_form_template = "admin/diagnostics/webhookdelivery/change_form.html"

    def visible(self, user: Actor) -> "QuerySet[WebhookDelivery]":
        return services.deliveries_for(user)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.redeliver)
        return [path("<int:pk>/redeliver/", view, name="diagnostics_webhookdelivery_redeliver"), *super().get_urls()]

    def redeliver(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Confirm, and send it once more."""
        self.needs(request, Permission.ADMINISTER)
        row = get_object_or_404(self.visible(request.user), pk=pk)
        form = forms.Form(request.POST if request.method == "POST" else None)
        if form.is_valid():
            services.redeliver(by=request.user, delivery=row)
            messages.success(request, _("The event is sent again within seconds."))
            return HttpResponseRedirect(reverse("admin:diagnostics_webhookdelivery_change", args=[row.pk]))
        return self.act_page(
            request, title=_("Redeliver"), form=form, act=_("Redeliver"), intro=f"{row.webhook}: {row.event}"
        )
