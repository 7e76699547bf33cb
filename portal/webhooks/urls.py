"""Addresses of the room ``webhooks``."""

from django.urls import path

from . import views

app_name = "webhooks"
urlpatterns = [
    path("", views.listed, name="list"),
    path("add/", views.add, name="add"),
    path("deliveries/<int:pk>/redeliver/", views.redeliver, name="redeliver"),
    path("<uuid:pk>/", views.webhook, name="webhook"),
    path("<uuid:pk>/change/", views.change, name="change"),
    path("<uuid:pk>/rotate/", views.rotate, name="rotate"),
    path("<uuid:pk>/test/", views.send_test, name="test"),
]
