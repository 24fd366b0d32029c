"""`python -m aauthkit.demo.tools`: the MCP tools' process."""

from aauthkit.demo.hosting.serve import main
from aauthkit.demo.tools.app import NAME, PORT, build

if __name__ == "__main__":
    main(NAME, PORT, build)
