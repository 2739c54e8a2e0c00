"""Searching photos on image-search pages, in a headless Chromium.

`profiles` says in data how a site's pages work, `search` reads any page by its profile, `chromium`
is the browser with its limits, `check` finds what in a profile no longer fits its site.
"""
