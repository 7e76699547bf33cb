"""Labels as a person reads them in a list."""

from django.utils.translation import gettext as _

from .models import Label


def label_in_words(label: str) -> str:
    """A label as a person reads it in a list; of a tumour whose type is not stated, that it is one."""
    if label == Label.TUMOUR:
        return str(_("Tumour"))
    return str(Label(label).label) if label in Label.values else label
