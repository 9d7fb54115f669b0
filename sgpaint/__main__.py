"""`python -m sgpaint` is the console command `sgpaint`."""
import sys

from sgpaint.cli import main

if __name__ == "__main__":
    sys.exit(main())
