"""Addresses of the room ``uploads``."""

from django.urls import path

from . import views

app_name = "uploads"
urlpatterns = [
    path("", views.scans, name="list"),
    path("hand-in/", views.hand_in, name="hand-in"),
    path("hand-in/complete/", views.complete, name="complete"),
    path("<uuid:pk>/", views.scan, name="scan"),
    path("<uuid:pk>/retry/", views.retry, name="retry"),
]
