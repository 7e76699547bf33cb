"""People and tokens in the Django admin: every act calls a service."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from diagnostics.scans import model_administrators, people
from diagnostics.scans.access import NotAllowed, Permission, Role, institutions_where, may
from diagnostics.scans.filing import InvalidEntry
from diagnostics.scans.models import Institution, Membership, ModelAdministrator
from portal.accounts.signed_in import person_of
from portal.ui.fields import choose_from
from portal.ui.refusals import refusals_as_messages, refusals_in_form

from . import addresses, freshness, passwords, services, sessions
from .forms import TokenForm
from .leaving_forms import PersonChangeForm, TakeRoleForm
from .models import ApiToken, User
from .security_pages import again_first
from .views import sign_out


def _sign_in(request: HttpRequest, extra_context: object = None) -> HttpResponse:
    """One door for all: the portal's, which counts failures and writes the audit."""
    if request.user.is_authenticated:
        raise PermissionDenied(_("The administration is for data managers and administrators."))
    return redirect_to_login(request.GET.get("next") or reverse("admin:index"))


def _sign_out(request: HttpRequest, extra_context: object = None) -> HttpResponseBase:
    return sign_out(request)


def _change_password(request: HttpRequest, extra_context: object = None) -> HttpResponse:
    return HttpResponseRedirect(reverse("accounts:password-change"))


admin.site.login = _sign_in  # type: ignore[method-assign]
admin.site.logout = _sign_out  # type: ignore[method-assign, assignment]
admin.site.password_change = _change_password  # type: ignore[method-assign, assignment]


class PersonForm:
    """What an administrator changes about a person; another address needs a password given lately."""

    request: HttpRequest
    cleaned_data: dict[str, Any]
    instance: User

    def clean_email(self) -> str:
        given: str = self.cleaned_data["email"]
        if given != self.instance.email and not freshness.is_fresh(self.request):
            raise ValidationError(
                format_html(
                    gettext(
                        'Whoever has the address can reset the password. <a href="{}">Confirm your password</a> first.'
                    ),
                    f"{reverse('accounts:again')}?{urlencode({'next': self.request.path})}",
                )
            )
        return given


class RoleForm(forms.Form):
    """A role in an institution; the institutions are those that the person who asks administers."""

    institution = forms.ModelChoiceField(queryset=Institution.objects.none(), to_field_name="code")
    role = forms.ChoiceField(choices=Role.choices)

    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choose_from(self, "institution", institutions_where(by, Permission.ADMINISTER))


def _administers(request: HttpRequest) -> bool:
    return may(request.user, Permission.ADMINISTER)


class MembershipInline(admin.TabularInline):
    """Roles held, to look at; "Give a role" and "Take away" are acts of their own."""

    model = Membership
    extra = 0
    can_delete = False
    fields = ("institution", "role", "created_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return _administers(request)


@admin.register(User)
class PersonAdmin(UserAdmin):
    """Accounts. An administrator of one institution reaches only the people who belong there and nowhere else."""

    list_display = ("username", "first_name", "last_name", "email", "is_active", "roles", "last_login")
    list_filter = ("is_active", "memberships__role")
    form = PersonChangeForm
    inlines = (MembershipInline,)
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "usable_password", "password1", "password2")}),
    )
    change_form_template = "admin/accounts/user/change_form.html"

    @admin.display(description=_("roles"))
    def roles(self, user: User) -> str:
        return ", ".join(f"{m.get_role_display()} ({m.institution.code})" for m in user.memberships.all()) or "–"

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return people.people_administered_by(request.user).prefetch_related("memberships__institution")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        groups: list[Any] = [
            (None, {"fields": ("username", "password")}),
            (_("Person"), {"fields": ("first_name", "last_name", "email")}),
            (
                _("Access"),
                {"fields": ("is_active", "work_to", *(("is_superuser",) if request.user.is_superuser else ()))},
            ),
            (_("Dates"), {"fields": ("last_login", "date_joined")}),
        ]
        return groups

    def get_readonly_fields(self, request: HttpRequest, obj: object = None) -> Any:
        return ("last_login", "date_joined")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _administers(request)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return _administers(request)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return _administers(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        # A person made without a role would be out of every institution's reach: the page for that gives one at once.
        return _administers(request)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False  # what a person did stays theirs; an account that is no longer wanted is made inactive

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        services.note(act="person_changed", user=obj, by=person_of(request))
        return super().log_change(request, obj, message)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        # Whoever sets a password becomes that person: an open session is not enough.
        asked = again_first(request, request.path)
        if asked is not None:
            return asked
        former = User.objects.filter(pk=id).values_list("password", flat=True).first()
        with transaction.atomic():  # the password and the event about it, or neither
            response = super().user_change_password(request, id, form_url)
            user = User.objects.filter(pk=id).first()
            changed = user is not None and user.password != former
            if user is not None and changed:
                own = sessions.row_of(request) if user.pk == request.user.pk else 0
                passwords.password_was_set(by=person_of(request), user=user, act="password_set", keep=own)
        if user is not None and changed:
            passwords.tell(user, by=request.user)
        return response

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made = super().get_form(request, obj, change=change, **kwargs)
        return type(made.__name__, (PersonForm, made), {"request": request}) if change else made

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """A person's own data, with what follows from a new address or from being deactivated."""
        former = User.objects.get(pk=obj.pk)
        closing = former.is_active and not obj.is_active
        obj.is_active = obj.is_active or closing  # closing the account is an act of its own, below
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if obj.email != former.email:
                addresses.changed_by_administrator(by=person_of(request), user=obj)
            if closing:
                people.deactivate(by=request.user, user=obj, work_to=form.cleaned_data.get("work_to"))
                sessions.end_others(user=obj, by=request.user, why="deactivated")
        if obj.email != former.email:
            addresses.tell_both(by=person_of(request), user=obj, former=former.email)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("add/", view(self.add_person), name="accounts_user_add"),
            path("<int:pk>/role/", view(self.give_role), name="accounts_user_role"),
            path("roles/<int:pk>/take/", view(self.take_role), name="accounts_user_take_role"),
            path("<int:pk>/model/", view(self.model_administrator), name="accounts_user_model_administrator"),
            path("<int:pk>/token/", view(self.make_token), name="accounts_user_token"),
        ]
        return own + super().get_urls()

    def _page(
        self, request: HttpRequest, title: str, form: forms.BaseForm, *, status: int = 200, **context: object
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": title,
            "form": form,
            **context,
        }
        return TemplateResponse(request, "admin/accounts/act.html", context, status=status)

    def add_person(self, request: HttpRequest) -> HttpResponse:
        """A new account with its first role."""
        if not _administers(request):
            raise NotAllowed(_("This needs the role administrator."))
        form = AddPersonForm(request.POST or None, by=person_of(request))
        if request.method == "POST" and form.is_valid():
            wanted = form.cleaned_data
            with _faults_in_form(form), refusals_in_form(form, InvalidEntry):
                user = services.add_person(
                    by=person_of(request),
                    username=wanted["username"],
                    password=wanted["password"],
                    email=wanted["email"],
                    first_name=wanted["first_name"],
                    last_name=wanted["last_name"],
                    role=wanted["role"],
                    institution_code=wanted["institution"].code,
                )
                messages.success(request, _("%(name)s can sign in now.") % {"name": user.username})
                return HttpResponseRedirect(reverse("admin:accounts_user_change", args=[user.pk]))
        return self._page(request, str(_("Add a person")), form, act=_("Add"))

    def give_role(self, request: HttpRequest, pk: int) -> HttpResponse:
        """One more role for somebody."""
        user = get_object_or_404(self.get_queryset(request), pk=pk)
        form = RoleForm(request.POST or None, by=person_of(request))
        if request.method == "POST" and form.is_valid():
            wanted = form.cleaned_data
            joined = people.add_member(
                by=request.user, user=user, institution_code=wanted["institution"].code, role=wanted["role"]
            )
            said = _("The role was assigned.") if joined.created else _("This person already had this role.")
            messages.success(request, said)
            return HttpResponseRedirect(reverse("admin:accounts_user_change", args=[pk]))
        return self._page(
            request,
            str(_("Roles of %(name)s") % {"name": user.username}),
            form,
            act=_("Assign this role"),
            held=[TakeRoleForm(membership=each) for each in user.memberships.select_related("institution", "user")],
            person=user,
            answers_for_the_model=ModelAdministrator.objects.filter(user=user).exists(),
            may_appoint=request.user.is_superuser and model_administrators.appointable().filter(pk=pk).exists(),
        )

    def take_role(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A role taken away."""
        reach = self.get_queryset(request)
        membership = get_object_or_404(Membership.objects.filter(user__in=reach.values("pk")), pk=pk)
        form = TakeRoleForm(request.POST, membership=membership)
        if request.method == "POST":
            with refusals_as_messages(request, InvalidEntry):
                if not form.is_valid():
                    raise InvalidEntry("work_to", _("Choose another reader of the institution."))
                people.remove_member(by=request.user, membership=membership, work_to=form.cleaned_data.get("work_to"))
                messages.success(request, _("The role was removed."))
        return HttpResponseRedirect(reverse("admin:accounts_user_role", args=[membership.user_id]))

    def model_administrator(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Appoint somebody to change the model that all institutions share, or end that."""
        user = get_object_or_404(self.get_queryset(request), pk=pk)
        if request.method == "POST":
            with refusals_as_messages(request, InvalidEntry):
                if "end" in request.POST:
                    model_administrators.dismiss(by=request.user, user=user)
                else:
                    model_administrators.appoint(by=request.user, user=user)
                messages.success(request, _("Saved."))
        return HttpResponseRedirect(reverse("admin:accounts_user_role", args=[pk]))

    @sensitive_variables("token")
    def make_token(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A token for somebody, shown this once."""
        user = get_object_or_404(self.get_queryset(request), pk=pk)
        asked = again_first(request, request.path)
        if asked is not None:
            return asked
        title = str(_("New API token for %(name)s") % {"name": user.username})
        form = TokenForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            wanted = form.cleaned_data
            _row, token = services.make_token(
                by=person_of(request),
                user=user,
                name=wanted["name"],
                scopes=wanted["scopes"],
                days=wanted["days"],
            )
            return self._page(request, title, TokenForm(), token=token, act=_("Create another"), status=201)
        return self._page(request, title, form, act=_("Create token"))


class AddPersonForm(RoleForm):
    """Name, password and first role of a new person."""

    username = forms.CharField(max_length=150)
    password = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False)
    first_name = forms.CharField(max_length=150, required=False)
    last_name = forms.CharField(max_length=150, required=False)
    email = forms.EmailField(required=False)
    field_order = ("username", "password", "first_name", "last_name", "email", "institution", "role")


@contextmanager
def _faults_in_form(form: forms.BaseForm) -> Iterator[None]:
    """Put what a service finds at fault with a new account beside the fields it is about."""
    try:
        yield
    except ValidationError as error:
        _show(form, error)


def _show(form: forms.BaseForm, error: ValidationError) -> None:
    if hasattr(error, "error_dict"):
        for field, problems in error.message_dict.items():
            form.add_error(field if field in form.fields else None, problems)
    else:
        form.add_error("password", error)


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Tokens, to look at and to revoke. The hash is shown to nobody; making one starts at its person."""

    list_display = ("name", "user", "start", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    list_filter = ("revoked_at",)
    search_fields = ("name", "user__username", "start")
    fields = ("user", "name", "start", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
    readonly_fields = fields
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        reach = people.people_administered_by(request.user)
        return super().get_queryset(request).filter(user__in=reach.values("pk"))

    @admin.action(description=_("Revoke the selected tokens"))
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiToken]) -> None:
        done = 0
        for token in chosen:
            try:
                services.revoke_token(by=person_of(request), token=token)
                done += 1
            except services.AlreadyRevoked:
                continue
        messages.success(request, _("%(count)d tokens revoked.") % {"count": done})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _administers(request)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return _administers(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
