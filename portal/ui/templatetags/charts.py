"""Charts in templates: ``{% chart it %}`` for one a view made, ``{% learning_charts epochs %}`` for a training."""

from collections.abc import Mapping, Sequence

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from portal.ui import charts, charts_over_time

register = template.Library()


@register.simple_tag
def chart(drawn: charts.LineChart | charts.Matrix | None) -> SafeString:
    """A chart with its title and note; nothing for None."""
    if drawn is None:
        return mark_safe("")
    name = "matrix" if isinstance(drawn, charts.Matrix) else "lines"
    return render_to_string(f"components/chart_{name}.html", {"chart": drawn})


@register.simple_tag
def learning_charts(epochs: Sequence[Mapping[str, object]]) -> SafeString:
    """Loss and AUROC over the epochs of a training."""
    return mark_safe("".join(chart(each) for each in charts_over_time.learning(epochs)))  # noqa: S308 - rendered above
