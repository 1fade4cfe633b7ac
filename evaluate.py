"""Scores a trained network: `python evaluate.py network=runs/foxes metrics=[kid,fid]`."""

import sys

from stylegan.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
