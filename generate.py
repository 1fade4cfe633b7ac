"""Draws pictures from a trained network: `python generate.py seeds=0-15,20 truncation=0.7`."""

import sys

from stylegan.machine.packages import refuse_without_packages

if __name__ == "__main__":
    refuse_without_packages(__file__)
    from stylegan.cli.generate import main  # needs them

    sys.exit(main())
