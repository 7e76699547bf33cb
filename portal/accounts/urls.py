"""Addresses of the room ``accounts``."""

from django.urls import path
from django.views.decorators.http import require_http_methods

from . import habit_pages, views

app_name = "accounts"
# Django's form views take PUT for POST; nobody sends it, so nobody may.
form = require_http_methods(["GET", "HEAD", "POST"])
urlpatterns = [
    path("", views.account, name="account"),
    path("sign-in/", form(views.SignIn.as_view()), name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("session/", views.session, name="session"),
    path("theme/", views.theme, name="theme"),
    path("password/", form(views.PasswordChange.as_view()), name="password-change"),
    path("password/reset/", form(views.PasswordReset.as_view()), name="password-reset"),
    path("password/reset/sent/", form(views.PasswordResetSent.as_view()), name="password-reset-sent"),
    path(
        "password/reset/<uidb64>/<token>/",
        form(views.PasswordResetConfirm.as_view()),
        name="password-reset-confirm",
    ),
    path("notifications/", views.notifications, name="notifications"),
    path("keys/", habit_pages.keys, name="keys"),
    path("after-submitting/", habit_pages.after_submitting, name="after-submitting"),
    path("tokens/", views.token_make, name="token-make"),
    path("tokens/<int:pk>/revoke/", views.token_revoke, name="token-revoke"),
]
