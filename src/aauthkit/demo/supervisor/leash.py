"""Becomes the command it is given, after tying its life to the supervisor's: when that dies, however, the kernel
ends this process too.

Run by path with a bare interpreter, so it imports nothing of the package. Doing this in a program of its own, not
between fork and exec, keeps Python code out of a place where only async-signal-safe calls are allowed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(argv: list[str]) -> None:
    """`leash.py SUPERVISOR_PID COMMAND…`: never returns."""
    supervisor, command = int(argv[1]), argv[2:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"cannot tie this process to its supervisor: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != supervisor:  # it died before the call above could take effect
        sys.exit("the supervisor is gone")
    os.umask(0o077)  # what a part writes is for the one who started the demo
    try:
        os.execvp(command[0], command)  # noqa: S606 (becoming the command is what this file is for)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv)
