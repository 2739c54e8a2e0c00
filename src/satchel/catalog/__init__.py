"""The catalogue: products, their photos and what is known of both; the one source of truth."""
