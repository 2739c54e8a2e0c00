"""Many runs as the cells of one table. Needs torch."""
