"""Addresses of the room ``lab``."""

from django.urls import path

from . import agreement, conflicts, monitor, next_labels, views

app_name = "lab"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("agreement/", agreement.numbers, name="agreement"),
    path("agreement/cases/", agreement.behind, name="agreement-cases"),
    path("next-labels/", next_labels.next_labels, name="next-labels"),
    path("monitor/", monitor.watched, name="monitor"),
    path("monitor/cases/", monitor.behind, name="monitor-cases"),
    path("monitor/alerts/<uuid:pk>/acknowledge/", monitor.acknowledge, name="acknowledge"),
    path("datasets/conflicts/", conflicts.listed, name="conflicts"),
    path("datasets/conflicts/settle/", conflicts.settle, name="settle"),
    path("datasets/conflicts/<uuid:pk>/take-back/", conflicts.take_back, name="take-back"),
    path("datasets/freeze/", views.freeze, name="freeze"),
    path("datasets/<uuid:pk>/", views.dataset, name="dataset"),
    path("datasets/<uuid:pk>/manifest.jsonl", views.manifest, name="manifest"),
    path("datasets/<uuid:pk>/train/", views.train, name="train"),
    path("runs/<uuid:pk>/", views.run, name="run"),
    path("runs/<uuid:pk>/again/", views.again, name="again"),
    path("runs/<uuid:pk>/cancel/", views.cancel, name="cancel"),
    path("models/<uuid:pk>/", views.model, name="model"),
    path("models/<uuid:pk>/card.md", views.card, name="card"),
    path("models/<uuid:pk>/promote/", views.promote, name="promote"),
    path("models/roll-back/", views.roll_back, name="roll-back"),
]
