"""Start the server of this bundle: `python serve.py`. BUNDLE_PORT=9000 and the like win over config.yaml."""

import sys
from pathlib import Path

from server.start import main

sys.exit(main(Path(__file__).resolve().parent))
