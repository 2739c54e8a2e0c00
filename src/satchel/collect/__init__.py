"""Collecting photos from the web for codes that are known.

`lists` reads lists of URLs, `searching` makes `queries` at `sources`, `recording` makes candidates
of what they name, `crawl` fetches and stores what `permissions` allow, at the pace of `hosts`.
Every candidate is a row, so that a killed run resumes.
"""
