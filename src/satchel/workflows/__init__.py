"""Workflows: each command's work on a workspace, from input to report."""
