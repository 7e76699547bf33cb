"""The address of a study."""

from django.urls import path

from . import studies

app_name = "studies"
urlpatterns = [path("<uuid:pk>/", studies.study, name="study")]
