"""Look-alikes: products that photos cannot distinguish."""
