"""The command line, one file for each stage."""

from satchel.cli.app import main

__all__ = ["main"]
