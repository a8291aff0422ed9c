"""What is usual in made-up shops: templates, where visitors come from and go to, and how long they stay."""

from __future__ import annotations

HOUR, DAY, WEEK = 60, 1440, 10_080
"""Minutes."""
TEMPLATES = ("home", "category", "product", "search", "content", "cart", "checkout", "account", "help")
PAGES_SHARE = (0.01, 0.15, 0.5, 0.05, 0.14, 0.02, 0.03, 0.05, 0.05)
USUAL_EXIT = (0.25, 0.18, 0.27, 0.20, 0.40, 0.22, 0.15, 0.30, 0.40)
SOURCES = ("direct", "organic", "paid", "email", "social", "referral")
SOURCES_SHARE = (0.25, 0.30, 0.20, 0.08, 0.10, 0.07)
BY_SOURCE = (-0.2, 0.0, 0.25, -0.1, 0.35, 0.1)
DEVICES = ("desktop", "mobile", "tablet")
DEVICES_SHARE = (0.40, 0.52, 0.08)
BY_DEVICE = (-0.1, 0.15, 0.0)
FIRST_VIEW = 0.5
DISAPPOINTED = 2.0
"""Logit by which more leave of those who come by a campaign that promises something else."""
ENTRANCE = (
    (0.55, 0.15, 0.12, 0.02, 0.05, 0.03, 0.00, 0.06, 0.02),
    (0.15, 0.30, 0.40, 0.00, 0.12, 0.00, 0.00, 0.00, 0.03),
    (0.10, 0.30, 0.55, 0.00, 0.05, 0.00, 0.00, 0.00, 0.00),
    (0.15, 0.40, 0.35, 0.00, 0.08, 0.02, 0.00, 0.00, 0.00),
    (0.10, 0.15, 0.45, 0.00, 0.30, 0.00, 0.00, 0.00, 0.00),
    (0.20, 0.20, 0.40, 0.00, 0.20, 0.00, 0.00, 0.00, 0.00),
)
"""Template of the first page, by source."""
NEXT = (
    (0.00, 0.45, 0.25, 0.15, 0.08, 0.02, 0.00, 0.03, 0.02),
    (0.04, 0.15, 0.65, 0.08, 0.03, 0.02, 0.00, 0.01, 0.02),
    (0.05, 0.25, 0.40, 0.06, 0.05, 0.12, 0.00, 0.02, 0.05),
    (0.03, 0.15, 0.60, 0.15, 0.03, 0.01, 0.00, 0.01, 0.02),
    (0.10, 0.25, 0.40, 0.07, 0.15, 0.01, 0.00, 0.01, 0.01),
    (0.03, 0.10, 0.20, 0.03, 0.02, 0.00, 0.55, 0.03, 0.04),
    (0.02, 0.03, 0.10, 0.01, 0.02, 0.50, 0.20, 0.07, 0.05),
    (0.15, 0.25, 0.30, 0.10, 0.05, 0.10, 0.00, 0.03, 0.02),
    (0.08, 0.22, 0.40, 0.08, 0.08, 0.08, 0.02, 0.03, 0.01),
)
"""Template of the next page, by template."""
CART, CHECKOUT, CONTENT = TEMPLATES.index("cart"), TEMPLATES.index("checkout"), TEMPLATES.index("content")
MAX_VIEWS = 30
DWELL_S, LONG_READ, LONG_READ_S = 40.0, 0.15, 600.0
"""Mean time on a page; the part of content views that are long reads, and the least time that those take."""
STALL_S = 300.0
UNENGAGED = 0.25
"""Part of those who leave without having done anything on the page."""
RETURNING = 0.3
