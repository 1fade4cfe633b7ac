"""Scores a trained network: `python evaluate.py network=runs/foxes metrics=[kid,fid]`."""

import sys

from stylegan.machine.packages import refuse_without_packages

if __name__ == "__main__":
    refuse_without_packages(__file__)
    from stylegan.cli.evaluate import main  # needs them

    sys.exit(main())
