"""Addresses of the room ``notifications``."""

from django.urls import path

from . import views

app_name = "notifications"
urlpatterns = [
    path("", views.listed, name="list"),
    path("bell/", views.unread_count, name="bell"),
    path("read-all/", views.read_all, name="read-all"),
    path("<uuid:pk>/", views.follow, name="follow"),
    path("<uuid:pk>/read/", views.read, name="read"),
]
