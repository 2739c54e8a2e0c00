"""What experts' decisions teach: photos for the gallery, and items whose product is known."""
