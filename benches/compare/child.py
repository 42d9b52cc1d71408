"""Runs a command and writes what it used into a file: `child.py FILE COMMAND...`.

A process of its own, and a small one: Linux counts the memory of the process that starts a command as the command's own, for the moment
before the command takes its place. So nothing below this one's own size, some 10 MB, can be told.
"""

import json
import os
import signal
import sys
import time

# The signal that ends the command is sent to the whole group; this one stays and reports.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
began = time.time()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ, setsigdef=[signal.SIGTERM])
_, status, usage = os.wait4(child, 0)
ended = time.time()
# Linux tells the memory in KiB, macOS in bytes.
unit = 1 if sys.platform == "darwin" else 1024
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump(
        {
            "code": os.waitstatus_to_exitcode(status),
            "began": began,
            "ended": ended,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "memory_bytes": usage.ru_maxrss * unit,
        },
        file,
    )
