"""Addresses of the room ``worklist``."""

from django.urls import path

from . import acts, unattended, views

app_name = "worklist"
urlpatterns = [
    path("", views.worklist, name="list"),
    path("next/", views.read_next, name="next"),
    path("assign/", acts.assign, name="assign"),
    path("views/", acts.save_view, name="save-view"),
    path("views/<uuid:pk>/forget/", acts.forget_view, name="forget-view"),
    path("nobody/", unattended.nobodys, name="nobody"),
    path("nobody/<uuid:pk>/free/", unattended.free, name="free"),
    path("nobody/<uuid:pk>/finish/", unattended.finish, name="finish"),
    path("<uuid:pk>/claim/", views.claim, name="claim"),
    path("<uuid:pk>/release/", acts.release, name="release"),
]
