#!/usr/bin/env python3
"""Makes a model for PyTorch from an exported instance: toysweep/transformer_lens.py, which Python has as
toysweep.transformer_lens."""

import sys

from needs import need

need("numpy", *["torch"] * (__name__ == "__main__" and not {"-h", "--help"} & set(sys.argv)))

from toysweep.transformer_lens import *  # noqa: F403
from toysweep.transformer_lens import main

if __name__ == "__main__":
    main()
