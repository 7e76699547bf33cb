"""Lists whose tables may hold millions of rows: counted as far as anybody leafs, and no further."""

from functools import cached_property
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.http import HttpRequest

CAP = 5000  # a hundred pages; whoever looks for a row further down searches or filters


class CappedPaginator(Paginator):
    """Counts at most ``CAP`` rows, so that neither the count nor the last page's offset grows with the table."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list  # a queryset always; the paginator's own type knows lists, too
        return int(rows.order_by()[:CAP].values("pk").count())

    @property
    def more(self) -> bool:
        """Whether there may be more rows than are counted."""
        return self.count >= CAP


class CappedList(ChangeList):
    """A list that names no number of hits where it has stopped counting."""

    def get_results(self, request: HttpRequest) -> Any:
        super().get_results(request)
        if self.paginator.more:
            # Django leaves the number out beside the search where all rows are hits.
            self.full_result_count = self.result_count
