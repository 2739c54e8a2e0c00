"""The pages for people, one module a page."""

from satchel.web.pages import (
    answers,
    cases,
    catalogue,
    collections,
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
    collections,
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
