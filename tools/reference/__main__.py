"""Write the pages of the reference from the code: settings, commands, metrics, errors, Python API.

    python tools/reference [FOLDER]        # docs/reference, unless given

`make docs` does it; a test holds what is committed to what this writes.
"""

import sys
from pathlib import Path

from of_commands import commands_page
from of_python import python_page
from of_results import errors_page, metrics_page
from of_settings import settings_page

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES = {
    "settings.md": settings_page,
    "commands.md": commands_page,
    "metrics.md": metrics_page,
    "errors.md": errors_page,
    "python.md": python_page,
}

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
