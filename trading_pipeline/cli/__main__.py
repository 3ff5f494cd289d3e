"""`python -m trading_pipeline.cli` is `trading-pipeline`."""

import os

from trading_pipeline.cli.main import main

os.environ.setdefault("PYTHONUNBUFFERED", "1")
main()
