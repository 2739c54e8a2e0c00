"""The expert's desk: a queue, opinions on listings, certificates."""
