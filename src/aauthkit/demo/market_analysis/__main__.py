"""`python -m aauthkit.demo.market_analysis`: the market-analysis agent's process."""

from aauthkit.demo.hosting.lean import UNUSED_BY_AGENTS, hidden
from aauthkit.demo.hosting.serve import main

if __name__ == "__main__":
    with hidden(*UNUSED_BY_AGENTS):
        from aauthkit.demo.market_analysis.app import NAME, PORT, build
    main(NAME, PORT, build)
