#!/usr/bin/env python3
"""Draws the figures that fit a results file: toysweep/plot.py, which `pip install` has as toysweep-plot."""

from needs import need

need("numpy", "h5py", "matplotlib")

from toysweep.plot import main

if __name__ == "__main__":
    main()
