"""`python -m fgr_retriever.cli`."""

import sys

from fgr_retriever.cli import main

sys.exit(main())
