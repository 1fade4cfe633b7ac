"""Draws pictures from a trained network: `python generate.py seeds=0-15,20 truncation=0.7`."""

import sys

from stylegan.cli.generate import main

if __name__ == "__main__":
    sys.exit(main())
