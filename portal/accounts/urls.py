"""Addresses of the room ``accounts``."""

from django.urls import path
from django.views.decorators.http import require_http_methods

from . import preference_pages, security_pages, views

app_name = "accounts"
# Django's form views take PUT for POST; nobody sends it, so nobody may.
form = require_http_methods(["GET", "HEAD", "POST"])
urlpatterns = [
    path("", views.account, name="account"),
    path("sign-in/", form(views.SignIn.as_view()), name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("session/", views.session, name="session"),
    path("theme/", views.theme, name="theme"),
    path("password/", form(security_pages.PasswordChange.as_view()), name="password-change"),
    path("password/reset/", form(views.PasswordReset.as_view()), name="password-reset"),
    path("password/reset/sent/", form(views.PasswordResetSent.as_view()), name="password-reset-sent"),
    path(
        "password/reset/<uidb64>/<token>/",
        form(security_pages.PasswordResetConfirm.as_view()),
        name="password-reset-confirm",
    ),
    path("again/", security_pages.again, name="again"),
    path("address/", security_pages.address, name="address"),
    path("address/withdraw/", security_pages.address_withdraw, name="address-withdraw"),
    path("address/<str:word>/", security_pages.address_confirm, name="address-confirm"),
    path("sessions/end/", security_pages.sessions_end, name="sessions-end"),
    path("sessions/<int:pk>/end/", security_pages.session_end, name="session-end"),
    path("notifications/", views.notifications, name="notifications"),
    path("keys/", preference_pages.keys, name="keys"),
    path("after-submitting/", preference_pages.after_submitting, name="after-submitting"),
    path("tokens/", security_pages.token_make, name="token-make"),
    path("tokens/<int:pk>/revoke/", security_pages.token_revoke, name="token-revoke"),
]
