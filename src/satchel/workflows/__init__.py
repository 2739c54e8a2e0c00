"""One stage of the product from beginning to end, on a workspace."""
