"""Products that photos cannot tell apart."""
