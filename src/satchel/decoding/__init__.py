"""Decoding of untrusted photos, in this process or in worker processes that can fail alone.

`photo` holds the functions; `process` and `pool` run them in workers (`worker`, `answering`,
`sandbox`).
"""
