"""One's own password, mail address, sessions and tokens: what lets somebody in."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from . import addresses, attempts, devices, freshness, passwords, services, sessions
from .forms import AddressForm, AgainForm, OwnPasswordForm, TokenForm
from .views import _self, account_page


class PasswordChange(auth.PasswordChangeView):
    template_name = "accounts/password_change.html"
    form_class = OwnPasswordForm
    success_url = reverse_lazy("accounts:account")

    def get_form_kwargs(self) -> dict[str, object]:
        return {**super().get_form_kwargs(), "request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():
            response = super().form_valid(form)
            passwords.password_was_set(
                by=form.user,
                user=form.user,
                act="password_changed",
                keep=sessions.row_of(self.request),
                tokens=form.chosen(),
            )
        passwords.tell(form.user)
        messages.success(self.request, _("Your password was changed. Other browsers were signed out."))
        return response


class PasswordResetConfirm(auth.PasswordResetConfirmView):
    template_name = "accounts/password_reset_confirm.html"
    success_url = reverse_lazy("accounts:sign-in")

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():
            response = super().form_valid(form)
            passwords.password_was_set(by=form.user, user=form.user, act="password_reset")
        passwords.tell(form.user)
        # Whoever opened the link in the mail is the owner: a pause that strangers caused is not for this device.
        devices.remember(self.request, response, form.user)
        messages.success(self.request, _("Your new password is set. Sign in with it."))
        return response


@sensitive_post_parameters("old_password")
@require_http_methods(["GET", "POST"])
@login_required
def address(request: HttpRequest) -> HttpResponse:
    """Ask for another mail address."""
    form = AddressForm(request.POST or None, request=request)
    if request.method == "POST" and form.is_valid() and attempts.too_many_mails(request):
        form.add_error(None, _("Too many emails were requested. Wait ten minutes and try again."))
    elif request.method == "POST" and form.is_valid():
        user = _self(request)
        try:
            addresses.ask(
                user=user,
                address=form.cleaned_data["address"],
                link=lambda word: request.build_absolute_uri(reverse("accounts:address-confirm", args=[word])),
                origin=attempts.address_of(request),
            )
        except addresses.MailAway as refusal:
            form.add_error(None, str(refusal))
        else:
            for token in form.chosen():
                services.revoke_token(by=user, token=token)
            said = _("Open the link sent to %(address)s. Until then your address stays unchanged.")
            messages.success(request, said % {"address": form.cleaned_data["address"]})
            return redirect("accounts:account")
    waits = addresses.waiting(_self(request))
    return render(request, "accounts/address.html", {"form": form, "waits": waits}, status=400 if form.errors else 200)


@require_POST
@login_required
def address_withdraw(request: HttpRequest) -> HttpResponse:
    """Keep the address that one has."""
    addresses.withdraw(user=_self(request))
    messages.success(request, _("Your address is unchanged."))
    return redirect("accounts:account")


@require_http_methods(["GET", "POST"])
def address_confirm(request: HttpRequest, word: str) -> HttpResponse:
    """The page that the link in the mail leads to. A button, as programs that look into mails open links too."""
    try:
        if request.method == "POST":
            addresses.confirm(word=word)
            messages.success(request, _("Your new email address is confirmed."))
            return redirect("accounts:account")
        return render(request, "accounts/address_confirm.html", {"change": addresses.found(word)})
    except addresses.LinkIsOver:
        return render(request, "accounts/address_confirm.html", {"change": None}, status=410)


@require_POST
@login_required
def session_end(request: HttpRequest, pk: int) -> HttpResponse:
    """Sign out one of one's own sessions."""
    user = _self(request)
    row = get_object_or_404(user.open_sessions, pk=pk)
    if row.pk == sessions.row_of(request):
        messages.info(request, _("This is your current session. Sign out to end it."))
    else:
        with transaction.atomic():
            sessions.end([row])
            services.note(act="sessions_ended", user=user, by=user, n=1, why="asked")
        messages.success(request, _("The session was signed out."))
    return redirect(reverse("accounts:account") + "#sessions")


@require_POST
@login_required
def sessions_end(request: HttpRequest) -> HttpResponse:
    """Sign out everywhere else."""
    user = _self(request)
    n = sessions.end_others(user=user, by=user, but=sessions.row_of(request), why="asked")
    said = ngettext("%(n)d other session was signed out.", "%(n)d other sessions were signed out.", n) % {"n": n}
    messages.success(request, said)
    return redirect(reverse("accounts:account") + "#sessions")


def again_first(request: HttpRequest, then: str) -> HttpResponseRedirect | None:
    """The way to the page that asks for the password, where it was given too long ago."""
    if freshness.is_fresh(request):
        return None
    messages.info(request, _("Enter your password again to continue."))
    return HttpResponseRedirect(f"{reverse('accounts:again')}?{urlencode({'next': then})}")


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@login_required
def again(request: HttpRequest) -> HttpResponse:
    """Give one's password once more, and go on to where it was asked for."""
    then = request.POST.get("next", request.GET.get("next", ""))
    if not url_has_allowed_host_and_scheme(then, {request.get_host()}, require_https=request.is_secure()):
        then = reverse("accounts:account")
    form = AgainForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            freshness.check_own_password(request, form.cleaned_data["password"])
        except freshness.NotFresh as refusal:
            form.add_error("password", str(refusal))
        else:
            freshness.remember(None, request, request.user)
            return HttpResponseRedirect(then)
    return render(request, "accounts/again.html", {"form": form, "next": then}, status=400 if form.errors else 200)


@require_POST
@login_required
@sensitive_variables("token")
def token_make(request: HttpRequest) -> HttpResponse:
    """Make a token and show it, this once: so the answer to the POST is the page, not a redirect."""
    asked = again_first(request, reverse("accounts:account") + "#tokens")
    if asked is not None:
        return asked
    form = TokenForm(request.POST)
    if not form.is_valid():
        return account_page(request, status=400, token_form=form)
    wanted = form.cleaned_data
    user = _self(request)
    row, token = services.make_token(
        by=user, user=user, name=wanted["name"], scopes=wanted["scopes"], days=wanted["days"]
    )
    return account_page(request, status=201, new_token=token, new_token_row=row)


@require_POST
@login_required
def token_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """End one of one's own tokens."""
    user = _self(request)
    token = get_object_or_404(user.api_tokens, pk=pk)
    try:
        services.revoke_token(by=user, token=token)
    except services.AlreadyRevoked as error:
        messages.info(request, str(error))
    else:
        messages.success(request, _("The token “%(name)s” was revoked. It no longer works.") % {"name": token.name})
    return redirect("accounts:account")
