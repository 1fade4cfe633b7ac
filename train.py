"""Trains StyleGAN2-ADA: python train.py [key=value ...]; python train.py --help shows the keys."""

import sys

from stylegan.machine.packages import refuse_without_packages

if __name__ == "__main__":
    refuse_without_packages(__file__)
    from stylegan.cli.train import main  # needs them

    sys.exit(main())
