"""Codes that are written or coded on a photographed tag, box, receipt or date stamp.

`worker` reads text and barcodes in a process of its own, which `reader` runs; `matching` compares
them with the catalogue's codes. What comes out is read, not seen: it says nothing of the item.
"""
