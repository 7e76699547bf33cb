"""What a person decides about names that differ only in case: two rows are one, or one of them gets another name.

It must be done before the newest migrations can run, so it works on the models of the database's present state.
"""

from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnostics.audit import services as audit
from diagnostics.audit.models import AuditEvent
from diagnostics.errors import Conflict

from .folding import folded
from .twins import Twins, of_people, of_scans


class NotMended(Conflict):
    """It cannot be done so; ``str()`` says why."""

    code = "not_mended"


class Mender:
    """Renames and merges by the models that the database has now."""

    def __init__(self) -> None:
        loader = MigrationExecutor(connection).loader
        applied = [node for node in loader.graph.nodes if node in loader.applied_migrations]
        self._apps = loader.project_state(applied).apps

    def _model(self, name: str) -> Any:
        return self._apps.get_model("accounts" if name == "User" else "diagnostics", name)

    def left(self) -> list[Twins]:
        """Names that are still there twice."""
        return [*of_people(self._apps, connection.alias), *of_scans(self._apps, connection.alias)]

    @transaction.atomic
    def rename_person(self, old: str, new: str) -> None:
        """Let somebody sign in under another name. What they did stays theirs.

        Raises
        ------
        NotMended
        """
        people = self._model("User").objects
        self._rename(people, "username", old, new, "person")

    @transaction.atomic
    def rename_institution(self, old: str, new: str) -> None:
        """Give an institution another code.

        Raises
        ------
        NotMended
        """
        self._rename(self._model("Institution").objects, "code", old, new, "institution")

    @transaction.atomic
    def rename_patient(self, code: str, old: str, new: str) -> None:
        """Give a patient another pseudonym.

        Raises
        ------
        NotMended
        """
        self._rename(self._patients(code), "pseudonym", old, new, "patient")

    @transaction.atomic
    def rename_study(self, code: str, patient: str, old: str, new: str) -> None:
        """Give a study another accession number.

        Raises
        ------
        NotMended
        """
        owner = _one(self._patients(code), "pseudonym", patient, "patient")
        self._rename(self._model("Study").objects.filter(patient=owner), "accession", old, new, "study")

    @transaction.atomic
    def merge_patients(self, code: str, keep: str, other: str) -> int:
        """Make one patient of two; studies with the same number or day become one as well. How many scans moved.

        Raises
        ------
        NotMended
        """
        kept, gone = (_one(self._patients(code), "pseudonym", name, "patient") for name in (keep, other))
        if kept.pk == gone.pk:
            raise NotMended(_("These are already one patient."))
        studies = self._model("Study").objects
        for study in studies.filter(patient=gone):
            there = [each for each in studies.filter(patient=kept) if _visit(each) == _visit(study)]
            if there:
                self._move(study, there[0])
            else:
                studies.filter(pk=study.pk).update(patient=kept)
        moved: int = self._model("Scan").objects.filter(patient=gone).update(patient=kept, updated_at=timezone.now())
        self._patients(code).filter(pk=kept.pk).update(updated_at=timezone.now())
        self._record("patients_merged", kept, merged=str(gone.pk), scans=moved)
        gone.delete()
        return moved

    @transaction.atomic
    def merge_studies(self, code: str, patient: str, keep: str, other: str) -> int:
        """Make one study of two of a patient; how many scans moved.

        Raises
        ------
        NotMended
        """
        owner = _one(self._patients(code), "pseudonym", patient, "patient")
        studies = self._model("Study").objects.filter(patient=owner)
        kept, gone = (_one(studies, "accession", number, "study") for number in (keep, other))
        if kept.pk == gone.pk:
            raise NotMended(_("These are already one study."))
        merged = str(gone.pk)
        moved = self._move(gone, kept)
        self._record("studies_merged", kept, merged=merged, scans=moved)
        return moved

    def _move(self, gone: Any, kept: Any) -> int:
        """All scans of one study to another, and the first one away."""
        scans = self._model("Scan").objects.filter(study=gone)
        moved: int = scans.update(study=kept, updated_at=timezone.now())
        gone.delete()
        return moved

    def _patients(self, code: str) -> Any:
        institution = _one(self._model("Institution").objects, "code", code, "institution")
        return self._model("Patient").objects.filter(institution=institution)

    def _rename(self, rows: Any, column: str, old: str, new: str, what: str) -> None:
        row = _one(rows, column, old, what)
        try:
            row._meta.get_field(column).clean(new, row)
        except ValidationError as error:
            raise NotMended(" ".join(error.messages)) from error
        others = rows.exclude(pk=row.pk).values_list(column, flat=True)
        taken = [name for name in others if folded(name) == folded(new)]
        if taken:
            raise NotMended(_("There is already a %(what)s %(taken)s."), {"what": what, "taken": taken[0]})
        setattr(row, column, new)
        row.save()
        self._record("renamed", row)

    def _record(self, act: str, target: Any, **detail: Any) -> None:
        """An event, also where the audit's own table is of an earlier version."""
        if self._audit_is_up_to_date():
            audit.record(by=None, act=act, target=target, **detail)
            return
        self._model("AuditEvent").objects.create(
            act=act, target_type=target._meta.model_name, target_id=str(target.pk), detail=detail
        )

    def _audit_is_up_to_date(self) -> bool:
        """Whether the audit's tables are those that this version writes; else a later migration takes the event in."""
        tables = [model._meta for model in apps.get_models() if model.__module__ == AuditEvent.__module__]
        with connection.cursor() as cursor:
            there = set(connection.introspection.table_names(cursor))
            return all(
                table.db_table in there
                and {str(column.column) for column in table.local_concrete_fields}
                <= {each.name for each in connection.introspection.get_table_description(cursor, table.db_table)}
                for table in tables
            )


def _one(rows: Any, column: str, name: str, what: str) -> Any:
    """The row of exactly this name, else the only one of it in other letters."""
    exact = rows.filter(**{column: name}).first()
    if exact is not None:
        return exact
    alike = list(rows.filter(**{f"{column}__iexact": name})[:2])
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise NotMended(_("Several match %(name)s. Enter the exact name."), {"name": name})
    raise NotMended(_("There is no %(what)s %(name)s."), {"what": what, "name": name})


def _visit(study: Any) -> tuple[str, object]:
    """What makes two studies of a patient one: the number, or where there is none the day."""
    return folded(study.accession), None if study.accession else study.date
