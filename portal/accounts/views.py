"""Sign in and out, a link by mail, one's own account."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from diagnostics.notifications.services import choices_of, choose
from diagnostics.scans.access import PERMISSIONS, Role
from diagnostics.scans.models import ModelAdministrator
from portal.accounts.signed_in import person_of
from portal.ui.context import THEME_COOKIE, THEMES

from . import addresses, attempts, devices, services, sessions
from .agents import in_words
from .forms import NotificationsForm, OwnDetailsForm, SignInForm, TokenForm
from .models import User

THEME_SECONDS = 365 * 24 * 3600
WHAT_ROLES_MAY = {
    Role.TECHNOLOGIST: gettext_lazy("Uploads scans and follows their progress."),
    Role.RADIOLOGIST: gettext_lazy("Claims cases and reads them, blind to the AI first."),
    Role.ADJUDICATOR: gettext_lazy("Resolves cases on which readers disagree."),
    Role.DATA_MANAGER: gettext_lazy("Freezes datasets, trains models and monitors their quality."),
    Role.ADMINISTRATOR: gettext_lazy("Manages people and institutions, promotes models, sees the audit."),
}


def _self(request: HttpRequest) -> User:
    """Whoever is signed in, as a row of their own: a form may change it without changing ``request.user``."""
    return User.objects.get(pk=request.user.pk or 0)


class SignIn(auth.LoginView):
    """The door."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user: User = form.get_user()
        with transaction.atomic():
            response = super().form_valid(form)
            services.note(act="signed_in", user=user, by=user, address=attempts.address_of(self.request))
        devices.remember(self.request, response, user)
        return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponseBase:
    """End the session; a second press, or one after it expired, is no error."""
    user = _self(request) if request.user.is_authenticated else None
    row = sessions.row_of(request)
    response = auth.LogoutView.as_view()(request)
    if user is not None:
        user.open_sessions.filter(pk=row).delete()
        services.note(act="signed_out", user=user, by=user)
        messages.success(request, _("You are signed out."))
    return response


class PasswordReset(auth.PasswordResetView):
    template_name = "accounts/password_reset.html"
    email_template_name = "accounts/password_reset_email.txt"
    subject_template_name = "accounts/password_reset_subject.txt"
    success_url = reverse_lazy("accounts:password-reset-sent")

    def form_valid(self, form: Any) -> HttpResponse:
        # Whoever fills other people's mailboxes hears the same as everybody, and nothing is sent.
        if attempts.too_many_mails(self.request):
            return redirect(self.get_success_url())
        return super().form_valid(form)


class PasswordResetSent(auth.PasswordResetDoneView):
    template_name = "accounts/password_reset_sent.html"


@require_POST
def theme(request: HttpRequest) -> HttpResponseRedirect:
    """Keep the wanted theme in a cookie and go back. A cookie, because the theme is the screen's, not the person's."""
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = reverse("home")
    response = HttpResponseRedirect(target)
    wanted = request.POST.get("theme")
    if wanted in THEMES:
        # Not HttpOnly: the toggle's script changes it without a request. It holds one word.
        response.set_cookie(
            THEME_COOKIE,
            wanted,
            max_age=THEME_SECONDS,
            path=settings.SESSION_COOKIE_PATH,
            samesite="Lax",
            secure=request.is_secure(),
        )
    return response


def account_page(request: HttpRequest, *, status: int = 200, **context: object) -> HttpResponse:
    user = person_of(request)
    memberships = user.memberships.select_related("institution")
    return render(
        request,
        "accounts/account.html",
        {
            "details": OwnDetailsForm(instance=user),
            "token_form": TokenForm(),
            "told": NotificationsForm.of(choices_of(user)),
            "tokens": user.api_tokens.select_related("user"),
            "sessions": [(row, in_words(row.agent)) for row in sessions.standing(user)],
            "this_session": sessions.row_of(request),
            "waits": addresses.waiting(user),
            "idle_minutes": settings.SESSION_IDLE_MINUTES,
            "model_administrator": ModelAdministrator.objects.filter(user=user.pk).exists(),
            "memberships": [(m, WHAT_ROLES_MAY[Role(m.role)]) for m in memberships],
            "permissions": PERMISSIONS,
            **context,
        },
        status=status,
    )


@require_http_methods(["GET", "POST"])
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """One's own account."""
    if request.method != "POST":
        return account_page(request)
    form = OwnDetailsForm(request.POST, instance=_self(request))
    if not form.is_valid():
        return account_page(request, status=400, details=form)
    form.save()
    messages.success(request, _("Your details were saved."))
    return redirect("accounts:account")


@require_POST
@login_required
def notifications(request: HttpRequest) -> HttpResponse:
    """Say what one wants to be told, and how."""
    form = NotificationsForm(request.POST)
    if not form.is_valid():
        return account_page(request, status=400, told=form)
    wanted = form.cleaned_data
    choose(
        by=_self(request),
        in_portal=wanted["in_portal"],
        by_mail=wanted["by_mail"],
        digest=wanted["digest"] == "1",
    )
    messages.success(request, _("Notification settings were saved."))
    return redirect("accounts:account")


@require_safe
@login_required
def session(request: HttpRequest) -> JsonResponse:
    """Whose session this is, and its token for forms: asked by a page that was open while its session ended."""
    return JsonResponse({"person": request.user.pk, "csrf": get_token(request)})


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form was too old or came from elsewhere: say so, and what to do."""
    if request.headers.get("HX-Request") and not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    return render(request, "403_csrf.html", status=403)
