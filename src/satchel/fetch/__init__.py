"""Requests to addresses that strangers name, guarded against server-side request forgery (SSRF).

`rules` and `addresses` say what may be requested, `backend` checks them at connection time, and
`client` limits size, time and redirects. Nothing else in the package may request such addresses.
"""
