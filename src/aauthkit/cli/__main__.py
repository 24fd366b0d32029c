"""`python -m aauthkit.cli` is `aauth`, for whoever starts it with a chosen interpreter."""

from aauthkit.cli import main

main()
