"""How the files that ship are made. In no wheel."""
