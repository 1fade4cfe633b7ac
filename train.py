"""Trains StyleGAN2-ADA: python train.py [key=value ...]; python train.py --help shows the keys."""

import sys

from stylegan.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
