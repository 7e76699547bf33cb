"""All addresses: a room each."""

from django.contrib import admin
from django.urls import include, path

from portal import metrics, views

handler500 = views.server_error

urlpatterns = [
    path("", views.home, name="home"),
    path("favicon.ico", views.favicon, name="favicon"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("accounts/", include("portal.accounts.urls")),
    path("scans/", include("portal.uploads.urls")),
    path("worklist/", include("portal.worklist.urls")),
    path("cases/", include("portal.reading.urls")),
    path("history/", include("portal.history.urls")),
    path("studies/", include("portal.history.study_urls")),
    path("notifications/", include("portal.notifications.urls")),
    path("webhooks/", include("portal.webhooks.urls")),
    path("lab/", include("portal.lab.urls")),
    path("api/", include("portal.api.urls")),
    path("admin/", admin.site.urls),
]
