"""Web: pages for people, an HTTP API for programs, and the server of both."""
