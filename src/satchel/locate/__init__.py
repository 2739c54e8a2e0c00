"""Finding the object in a photo."""
