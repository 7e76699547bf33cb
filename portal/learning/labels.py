"""The labels that a model gives, in words."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from diagnostics.reviews.models import Label

# Of a model, "tumour" is an answer and not one whose type was left out.
LABELS: dict[str, Any] = {**dict(Label.choices), Label.TUMOUR: _("Tumour")}
SHORT: dict[str, Any] = {**LABELS, Label.PITUITARY: _("Pituitary"), Label.MENINGIOMA: _("Mening.")}
# The other labels are statements of readers only.
MODEL_LABELS = [label for label in Label.values if label not in (Label.NOT_ASSESSABLE, Label.OUT_OF_SCOPE)]
