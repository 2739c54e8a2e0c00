"""The HTTP API, one module a resource. Endpoints only convert requests and responses."""

from satchel.web.api import (
    cases,
    collections,
    edits,
    export,
    facets,
    feedback,
    health,
    identify,
    jobs,
    look_alikes,
    metrics,
    photos,
    products,
)

RESOURCES = (
    identify,
    facets,
    feedback,
    cases,
    products,
    edits,
    export,
    look_alikes,
    collections,
    jobs,
    health,
    metrics,
    photos,
)
