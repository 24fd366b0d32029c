"""`python -m aauthkit.demo.supply_chain`: the supply-chain agent's process."""

from aauthkit.demo.hosting.lean import UNUSED_BY_AGENTS, hidden
from aauthkit.demo.hosting.serve import main

if __name__ == "__main__":
    with hidden(*UNUSED_BY_AGENTS):
        from aauthkit.demo.supply_chain.app import NAME, PORT, build
    main(NAME, PORT, build)
