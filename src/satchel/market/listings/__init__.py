"""Listings: goods that sellers want to sell, from draft to sold."""
