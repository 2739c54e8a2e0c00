"""A script that prints how many bytes decoding a photo takes at its peak, after a small one."""

PEAK = """
import sys
from pathlib import Path
from satchel.images import decode

def peak_kb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

small, data = (Path(name).read_bytes() for name in sys.argv[1:])
decode(small, min_side_px=None)
before = peak_kb()
decode(data, min_side_px=None)
print((peak_kb() - before) * 1024)
"""
