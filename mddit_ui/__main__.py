"""``python -m mddit_ui`` is the command line."""

import sys

from mddit_ui.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
