"""The HTTP API, one module a resource. Each endpoint translates and does nothing else."""

from fastapi import APIRouter

from satchel.web.api import health, identify, look_alikes, photos, products

router = APIRouter()
for resource in (identify, products, look_alikes, health, photos):
    router.include_router(resource.router)
