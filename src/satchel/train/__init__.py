"""Everything that needs torch: recipes, training, export. Needs the extra `train`."""
