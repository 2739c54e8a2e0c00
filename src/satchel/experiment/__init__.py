"""The seed's protocol: many runs, planned for a given time, as one page. Needs torch."""
