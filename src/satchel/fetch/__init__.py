"""Requests to addresses that strangers name, guarded against server-side request forgery (SSRF).

`addresses` says which addresses may be connected to, `backend` checks them at connection time, and
`client` limits size, time and redirects. Nothing else in the package may request such addresses.
"""
