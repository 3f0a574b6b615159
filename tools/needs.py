"""need("h5py", ...): makes sure that this Python has the modules, before they are imported.

If it lacks some and another Python of this machine has all of them, the tool starts again with that one (the order
is that of tools/python.sh: $TOYSWEEP_PYTHON, /usr/bin/python3, python3); else it ends with one line that says so.
"""

import importlib.util
import os
import shutil
import subprocess
import sys

BY_SETUP = {"numpy", "h5py", "matplotlib", "xarray", "h5netcdf", "netCDF4", "yaml", "tqdm"}  # what tools/setup.sh installs
FIND = "import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))"


def need(*modules):
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if not missing:
        return
    for candidate in (os.environ.get("TOYSWEEP_PYTHON"), "/usr/bin/python3", "python3"):
        python = shutil.which(candidate) if candidate else None
        if python and subprocess.run([python, "-c", FIND, *modules], stderr=subprocess.DEVNULL).returncode == 0:
            os.execv(python, [python, *sys.argv])
    setup = "run tools/setup.sh, or " if set(missing) <= BY_SETUP else ""
    sys.exit(f"{os.path.basename(sys.argv[0])}: {sys.executable} has no {', '.join(missing)}: {setup}install it with "
             f"{sys.executable} -m pip install {' '.join(missing)}, or set TOYSWEEP_PYTHON to a Python that has it")
