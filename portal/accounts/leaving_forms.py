"""Where the work of somebody goes who can sign in no longer, or loses a role: asked in the Django admin."""

from typing import Any

from django import forms
from django.contrib.auth.forms import UserChangeForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from diagnostics.reviews import worklist

from .models import User


class WorkToField(forms.ModelChoiceField):
    """Another reader, or nobody in particular."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            User.objects.none(),
            required=False,
            label=_("Assign open cases to"),
            empty_label=_("Unassign"),
            **more,
        )

    def offer(self, user: User, institution: Any = None) -> None:
        """Let another reader of the institutions of ``user``, or of one, be chosen."""
        heirs = worklist.heirs_of(user, institution).values("user")
        self.queryset = User.objects.filter(pk__in=heirs).order_by("username")


class PersonChangeForm(UserChangeForm):
    """An account. Where it is closed, it is asked who gets the cases that its person holds or is kept."""

    work_to = WorkToField()
    request: HttpRequest  # of whoever changes it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "work_to" in self.fields and self.instance.pk:
            field: Any = self.fields["work_to"]
            field.offer(self.instance)
            cases = worklist.work_of(self.instance)
            field.help_text = ngettext(
                "Applies when the account is deactivated. %(n)d open case is reserved for or assigned to this "
                "person. Returned cases go back to the adjudicators.",
                "Applies when the account is deactivated. %(n)d open cases are reserved for or assigned to "
                "this person. Returned cases go back to the adjudicators.",
                cases,
            ) % {"n": cases}

    def clean(self) -> dict[str, object]:
        """Nobody closes their own account."""
        cleaned: dict[str, object] = super().clean() or {}
        closing = "is_active" in self.changed_data and not cleaned.get("is_active")
        if closing and self.instance.pk == self.request.user.pk:
            self.add_error("is_active", _("You cannot deactivate your own account. Ask another administrator."))
        return cleaned


class TakeRoleForm(forms.Form):
    """A role that is taken away, and who gets the cases that its holder cannot read any more."""

    work_to = WorkToField()

    def __init__(self, *args: Any, membership: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "auto_id": f"id_%s_{membership.pk}"})
        self.membership = membership
        field: Any = self.fields["work_to"]
        field.offer(membership.user, membership.institution)
