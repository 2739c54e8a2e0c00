"""Middleware: applied to every request before an endpoint."""
