"""Addresses of the room ``history``."""

from django.urls import path

from . import views

app_name = "history"
urlpatterns = [
    path("patients/", views.patients, name="patients"),
    path("patients/<uuid:pk>/", views.patient, name="patient"),
    path("patients/<uuid:pk>/compare/", views.compare, name="compare"),
    path("my-reads/", views.my_reads, name="my-reads"),
    path("audit/", views.audit, name="audit"),
]
