#!/usr/bin/env bash
# What a container image of toysweep is made by, on Debian 12 or later, as root, in two stages. Dockerfile and
# toysweep.def call it; try.sh runs it in a bare Debian.
#   tools/container/build.sh build PREFIX     compiles this source tree and installs it into PREFIX
#   tools/container/build.sh run PREFIX       installs what the program in PREFIX needs to run, and no compilers
set -euo pipefail

if (($# != 2)) || [[ $1 != build && $1 != run ]]; then
    sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}"
    exit 2
fi
prefix=$2
libraries=$prefix/share/toysweep/debian-packages

install() { # PACKAGE...
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

build() {
    cd "$(dirname "${BASH_SOURCE[0]}")/../.."
    tools/setup.sh
    cmake --preset release -B /tmp/toysweep-build -DTOYSWEEP_TESTS=OFF -DTOYSWEEP_WERROR=OFF
    cmake --build /tmp/toysweep-build
    cmake --install /tmp/toysweep-build --prefix "$prefix"
    # The libraries' packages, which are called otherwise from one Debian to the next. dpkg knows a library by its path
    # with /usr or without, and ends with 1 for the other.
    ldd "$prefix/bin/toysweep" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | xargs -n 1 realpath | sed 'p;s|^/usr||' |
        { xargs dpkg -S 2>/dev/null || true; } | cut -d: -f1 | sort -u >"$libraries"
    grep -q hdf5 "$libraries"
}

run() {
    local packages
    mapfile -t packages <"$libraries"
    apt-get update -q
    install "${packages[@]}" openmpi-bin hdf5-tools \
        python3 python3-numpy python3-h5py python3-matplotlib python3-xarray python3-h5netcdf python3-yaml python3-tqdm
    rm -rf /var/lib/apt/lists/*
    "$prefix/bin/toysweep" info
}

"$1"
