"""Addresses of the room ``lab``."""

from django.urls import path

from . import agreement, conflicts, controls, models, monitor, next_labels, plans, tested, views

app_name = "lab"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("agreement/", agreement.numbers, name="agreement"),
    path("agreement/cases/", agreement.behind, name="agreement-cases"),
    path("next-labels/", next_labels.next_labels, name="next-labels"),
    path("monitor/", monitor.watched, name="monitor"),
    path("monitor/cases/", monitor.behind, name="monitor-cases"),
    path("monitor/alerts/<uuid:pk>/acknowledge/", monitor.acknowledge, name="acknowledge"),
    path("controls/", controls.results, name="controls"),
    path("datasets/conflicts/", conflicts.listed, name="conflicts"),
    path("datasets/conflicts/settle/", conflicts.settle, name="settle"),
    path("datasets/conflicts/<uuid:pk>/take-back/", conflicts.take_back, name="take-back"),
    path("datasets/freeze/", views.freeze, name="freeze"),
    path("datasets/plans/again/", plans.again, name="plan-again"),
    path("datasets/plans/<uuid:pk>/", plans.waited_for, name="plan"),
    path("datasets/<uuid:pk>/", views.dataset, name="dataset"),
    path("datasets/<uuid:pk>/manifest.jsonl", views.manifest, name="manifest"),
    path("datasets/<uuid:pk>/train/", views.train, name="train"),
    path("runs/<uuid:pk>/", views.run, name="run"),
    path("runs/<uuid:pk>/again/", views.again, name="again"),
    path("runs/<uuid:pk>/cancel/", views.cancel, name="cancel"),
    path("models/<uuid:pk>/", models.model, name="model"),
    path("models/<uuid:pk>/card.md", models.card, name="card"),
    path("models/<uuid:pk>/promote/", models.promote, name="promote"),
    path("models/<uuid:pk>/tested/", tested.behind, name="tested"),
    path("models/<uuid:pk>/challenge/", models.challenge, name="challenge"),
    path("models/<uuid:pk>/retire/", models.retire, name="retire"),
    path("requests/<uuid:pk>/", models.decide, name="decide"),
    path("models/roll-back/", models.roll_back, name="roll-back"),
]
