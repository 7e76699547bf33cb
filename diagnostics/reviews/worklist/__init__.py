"""The worklist: which cases wait in which order, who holds them, and what happens when their reader leaves.

The one door: other rooms import from here.
"""

from .assigning import assign, readers_for
from .claims import (
    claim,
    claim_next,
    end,
    expire_claims,
    lease,
    live_with,
    locked,
    release,
    renew,
    take_over,
    touch_related,
)
from .leaving import free_case, free_left_work, heirs_of, left_cases, on_leaving, on_left, require_oversight, work_of
from .listing import (
    COUNT_LIMIT,
    TABS,
    changed_in_tab,
    coming_up,
    listed,
    members_of_studies,
    past_first,
    settling_in,
    tab,
    tab_counts,
    unfinished,
    waiting_for,
)
from .ordering import drawn, due, place_of, policies_of, refresh_order
from .partitions import first_by_institution, partitions_of
from .progress import Progress, progress_for
from .saved_views import forget_view, query_within, save_view, views_of
from .scan_list import scans_listed
from .studies import (
    claim_next_study,
    claim_study,
    one_a_study,
    release_study,
    stacks_of_study,
    take_over_study,
    unread_beside,
    with_their_studies,
)
from .study_rows import in_order_of_series

__all__ = [
    "COUNT_LIMIT",
    "Progress",
    "TABS",
    "assign",
    "changed_in_tab",
    "claim",
    "claim_next",
    "claim_next_study",
    "claim_study",
    "coming_up",
    "drawn",
    "due",
    "end",
    "expire_claims",
    "first_by_institution",
    "forget_view",
    "free_case",
    "free_left_work",
    "heirs_of",
    "in_order_of_series",
    "members_of_studies",
    "lease",
    "left_cases",
    "listed",
    "live_with",
    "locked",
    "on_leaving",
    "on_left",
    "one_a_study",
    "partitions_of",
    "past_first",
    "place_of",
    "policies_of",
    "progress_for",
    "query_within",
    "readers_for",
    "refresh_order",
    "release",
    "release_study",
    "renew",
    "require_oversight",
    "save_view",
    "scans_listed",
    "settling_in",
    "tab",
    "tab_counts",
    "stacks_of_study",
    "take_over",
    "take_over_study",
    "touch_related",
    "unfinished",
    "unread_beside",
    "views_of",
    "waiting_for",
    "with_their_studies",
    "work_of",
]
