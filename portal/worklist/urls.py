"""Addresses of the room ``worklist``."""

from django.urls import path

from . import views

app_name = "worklist"
urlpatterns = [
    path("", views.worklist, name="list"),
    path("next/", views.read_next, name="next"),
    path("<uuid:pk>/claim/", views.claim, name="claim"),
]
