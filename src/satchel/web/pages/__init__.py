"""The pages for people, one module a page."""

from satchel.web.pages import (
    answers,
    cases,
    catalogue,
    feedback,
    filters,
    home,
    jobs,
    look_alikes,
    products,
    reference,
    review,
    review_grid,
    share,
)

PAGES = (
    review,
    review_grid,
    look_alikes,
    home,
    answers,
    filters,
    feedback,
    cases,
    catalogue,
    products,
    jobs,
    reference,
    share,
)
