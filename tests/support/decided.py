"""A market in a workspace, with listings that an expert has decided."""

from __future__ import annotations

from dataclasses import dataclass

from satchel.decoding.decoder import IN_PROCESS
from satchel.market.desk.records import Reason
from satchel.market.goods import Goods
from satchel.market.listings.fields import Grade, ListingFields
from satchel.market.listings.photos import ListingPhotos
from satchel.market.listings.records import Listing
from satchel.market.listings.states import Actor, StepName
from satchel.market.roles import Role
from satchel.workspace import Workspace
from support.market import make_account

RIGHT = "M0"


@dataclass
class Market:
    """A market in a workspace with the catalogue of shapes."""

    workspace: Workspace
    goods: Goods
    photos: ListingPhotos
    seller: Actor
    expert: Actor
    admin: Actor

    @classmethod
    def of(cls, workspace: Workspace) -> Market:
        catalogue, limits = workspace.catalogue, workspace.settings.photos.limits()
        photos = ListingPhotos(catalogue.engine, workspace.market_photos, IN_PROCESS, limits)
        people = [
            Actor(make_account(workspace, f"{role.value}@example.com", role).id, role)
            for role in (Role.SELLER, Role.EXPERT, Role.ADMIN)
        ]
        return cls(workspace, Goods.of(catalogue.engine, catalogue.brands), photos, *people)

    def certified(self, photo: bytes, code: str = RIGHT, *, consent: bool = True) -> Listing:
        """A listing of one photo that an expert certified as this product."""
        listing = self._claimed(photo, code, consent=consent)
        return self.goods.decisions.certify(listing, code, self.expert, seconds=5)

    def rejected(self, photo: bytes, reason: Reason, *, consent: bool = True) -> Listing:
        """A listing of one photo that an expert rejected."""
        listing = self._claimed(photo, RIGHT, consent=consent)
        return self.goods.decisions.reject(listing, reason, self.expert, seconds=5)

    def revoke(self, listing: Listing) -> None:
        certificate = self.goods.decisions.certificate_of(listing)
        assert certificate is not None
        self.goods.decisions.revoke(certificate.public_id, self.admin, "forged")

    def _claimed(self, photo: bytes, code: str, *, consent: bool) -> str:
        listing = self.goods.listings.create(self.seller).public_id
        self.photos.add(listing, "upload-01", photo, self.seller)
        fields = ListingFields(code=code, grade=Grade.A, consent_gallery=consent)
        self.goods.listings.change(listing, fields, self.seller)
        self.goods.listings.step(listing, StepName.SUBMIT, self.seller)
        self.goods.queue.claim(listing, self.expert)
        return listing
