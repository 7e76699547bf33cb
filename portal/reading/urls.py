"""Addresses of the room ``reading``."""

from django.urls import path

from . import comments, drafts, files, marks, report, stacks, two_readers, views

app_name = "reading"
urlpatterns = [
    path("files/<uuid:pk>/pixels", files.pixels, name="pixels"),
    path("files/<uuid:pk>/images/<int:index>/pixels", files.image_pixels, name="image-pixels"),
    path("files/<uuid:pk>/images/<int:index>/preview.png", files.image_preview, name="image-preview"),
    path("files/<uuid:pk>/stack.json", stacks.stack, name="stack"),
    path("files/<uuid:pk>/preview.png", files.preview, name="preview"),
    path("files/<uuid:pk>/original", files.original, name="original"),
    path("files/predictions/<uuid:pk>/heatmap.png", files.heatmap, name="heatmap"),
    path("<uuid:pk>/", views.case, name="case"),
    path("<uuid:pk>/blind/", views.blind, name="blind"),
    path("<uuid:pk>/reveal/", views.reveal, name="reveal"),
    path("<uuid:pk>/final/", views.final, name="final"),
    path("<uuid:pk>/release/", views.release, name="release"),
    path("<uuid:pk>/amend/", views.amend, name="amend"),
    path("<uuid:pk>/renew/", views.renew, name="renew"),
    path("<uuid:pk>/annotations/", marks.annotations, name="annotations"),
    path("<uuid:pk>/claim/", views.claim, name="claim"),
    path("<uuid:pk>/take-over/", views.take_over, name="take-over"),
    path("<uuid:pk>/adjudicate/", two_readers.adjudicate, name="adjudicate"),
    path("<uuid:pk>/second-opinion/", two_readers.second_opinion, name="second-opinion"),
    path("<uuid:pk>/return/", two_readers.send_back, name="return"),
    path("<uuid:pk>/answer/", two_readers.answer, name="answer"),
    path("<uuid:pk>/draft/", drafts.draft, name="draft"),
    path("<uuid:pk>/undo/", drafts.undo, name="undo"),
    path("<uuid:pk>/comments/", comments.comments, name="comments"),
    path("<uuid:pk>/report.pdf", report.report, name="report"),
    path("<uuid:pk>/people/", comments.people, name="people"),
    path("<uuid:pk>/recall/", two_readers.recall, name="recall"),
]
