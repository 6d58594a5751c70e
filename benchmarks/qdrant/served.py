"""`fgr` with every URL of a collection leading to Qdrant's core in this process.

    python -m benchmarks.qdrant.served FOLDER COMMAND ...

FOLDER is where the core keeps its files.
"""

from __future__ import annotations

import sys
from contextlib import closing

from fgr_retriever.cli import main
from tests.index.qdrant.core import CoreClient
from tests.index.qdrant.serving import served

if __name__ == "__main__":
    with closing(CoreClient(sys.argv[1])) as client, served(client):
        code = main(sys.argv[2:])
        client.optimize()
    sys.exit(code)
