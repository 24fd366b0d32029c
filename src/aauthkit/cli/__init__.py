"""The command `aauth`: one file a command, loaded only when it is called.

Never does a role's work; it composes roles and prints.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run `aauth`. Ends the process: 0 for done, 1 for a failure told in one sentence, 2 for a misused command line."""
    try:
        from aauthkit.cli.root import aauth
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit("aauth: the command line needs an extra: pip install 'aauthkit[cli]'")
    aauth(prog_name="aauth")
