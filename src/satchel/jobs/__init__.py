"""Work that runs later and again until it is done: a table of jobs with leases, and its workers.

`queue` adds, lists, retries and cancels jobs; `leases` is what a worker does to the table; `worker`
runs them. What a job does is in the handlers that a worker is given: this room knows none of them.
"""
