"""`python -m manufacturing failure key=value` does what `lepton run manufacturing/failure key=value` does."""

import sys

from lepton_solutions.cli import main

if __name__ == "__main__":
    name = [f"manufacturing/{sys.argv[1]}"] if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else []
    main(["run", *name, *sys.argv[2 if name else 1 :]])
