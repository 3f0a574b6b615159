#!/usr/bin/env bash
# Installs what building and running toysweep needs and this machine lacks.
#   tools/setup.sh            compilers, MPI, HDF5, Python for the plots
#   tools/setup.sh --tests    also what tools/test.sh needs
#   tools/setup.sh --night    and what tools/nightly.sh needs: other programs that read results files
# Debian and Ubuntu: apt. Elsewhere it prints what to load or install, and fails while something is missing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tools/python.sh
source "$root/tools/python.sh"

tests=no night=no
case "${1:-}" in
"") ;;
--tests) tests=yes ;;
--night) tests=yes night=yes ;;
*)
    sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}"
    [[ $1 == --help ]] && exit 0
    exit 2
    ;;
esac

# --- Is it there? One function per kind of thing; each prints where it was found ---------------------------------
has_command() { command -v "$1"; }

has_library() { pkg-config --exists "$1" 2>/dev/null && echo "version $(pkg-config --modversion "$1")"; }

has_header() { echo "#include <$1>" | cc -E - >/dev/null 2>&1 && echo "<$1>"; }

has_cmake() {
    local version
    version=$(cmake --version 2>/dev/null | sed -n '1s/[^0-9]*//p') || return 1
    [[ -n $version && $(printf '%s\n3.25\n' "$version" | sort -V | head -n 1) == 3.25 ]] && echo "version $version"
}

has_parallel_hdf5() { has_library hdf5-openmpi || command -v h5pcc; }

has_serial_hdf5() { has_library hdf5-serial || { has_library hdf5 && ! has_parallel_hdf5 >/dev/null; }; }

has_lapack() { has_library openblas || has_library lapack; }

has_python() { find_python "$@" 2>/dev/null && echo "in $PYTHON"; }

has_venv() { python3 -c 'import ensurepip, venv'; }

has_slurm() { # its daemons are not on everybody's path
    local PATH=$PATH:/usr/sbin
    command -v munged >/dev/null && command -v slurmd >/dev/null && command -v slurmctld
}

has_fuzzer() { # clang's run-time libraries: sanitizers and libFuzzer
    local found
    found=$(compgen -G "$(clang -print-resource-dir 2>/dev/null)/lib/*/libclang_rt.fuzzer*") && echo "${found%%$'\n'*}"
}

has_namespaces() { # ip is in sbin, which is not on everybody's PATH
    local PATH=$PATH:/usr/sbin:/sbin
    command -v unshare >/dev/null && command -v nsenter >/dev/null && command -v ip
}

has_mkfs() { # in sbin, which is not on everybody's PATH
    PATH=$PATH:/usr/sbin:/sbin has_command mkfs.ext4
}

has_hdf5r() { command -v Rscript && Rscript -e 'library(hdf5r)'; }

# --- What is needed: what it is | Debian package | how to see that it is there ------------------------------------
modules="numpy h5py matplotlib xarray h5netcdf netCDF4 yaml tqdm"
needed=(
    "C compiler|gcc|has_command cc"
    "C library headers|libc6-dev|has_header stdio.h"
    "CMake 3.25 or later|cmake|has_cmake"
    "Ninja|ninja-build|has_command ninja"
    "pkg-config|pkg-config|has_command pkg-config"
    "Git|git|has_command git"
    "MPI launcher|openmpi-bin|has_command mpirun"
    "MPI compiler|libopenmpi-dev|has_command mpicc"
    "HDF5 built with MPI|libhdf5-openmpi-dev|has_parallel_hdf5"
    "HDF5 tools|hdf5-tools|has_command h5dump"
    "libyaml|libyaml-dev|has_library yaml-0.1"
    "OpenSSL|libssl-dev|has_library libcrypto"
    "zlib|zlib1g-dev|has_library zlib"
    "BLAS and LAPACK|libopenblas-dev|has_lapack"
    "Python modules|python3 python3-numpy python3-h5py python3-matplotlib python3-xarray python3-h5netcdf python3-netcdf4 python3-yaml python3-tqdm|has_python $modules"
)
if [[ $tests == yes ]]; then
    needed+=(
        "Python's venv|python3-venv|has_venv"
        "Jupyter|python3-nbclient python3-ipykernel|has_python nbclient ipykernel"
        "cmocka|libcmocka-dev|has_library cmocka"
        "C++ compiler|g++|has_command c++"
        "HDF5 without MPI|libhdf5-dev|has_serial_hdf5"
        "Clang|clang|has_command clang"
        "clang-format|clang-format|has_command clang-format"
        "clang-tidy|clang-tidy|has_command clang-tidy"
        "Clang's libFuzzer|clang-runtime|has_fuzzer"
        "strace|strace|has_command strace"
        "Slurm|slurm-wlm munge|has_slurm"
        "mkfs.ext4|e2fsprogs|has_mkfs"
        "Network namespaces|iproute2 util-linux|has_namespaces"
        "ShellCheck|shellcheck|has_command shellcheck"
        "MkDocs|mkdocs mkdocs-material|has_command mkdocs"
    )
fi

if [[ $night == yes ]]; then
    needed+=(
        "ncdump|netcdf-bin|has_command ncdump"
        "R's hdf5r|r-cran-hdf5r|has_hdf5r"
        "Octave|octave|has_command octave-cli"
    )
fi

missing_packages() { # one a line
    local line name package check
    for line in "${needed[@]}"; do
        IFS='|' read -r name package check <<<"$line"
        $check >/dev/null 2>&1 || tr ' ' '\n' <<<"$package"
    done
}

# --- Installing ----------------------------------------------------------------------------------------------------
as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "Not root, and there is no sudo. As root, type:" >&2
        echo "  $*" >&2
        exit 1
    fi
}

install_with_apt() { # PACKAGE...
    local packages=() package
    as_root apt-get update -q
    for package in "$@"; do
        # The run-time libraries' package is named after Clang's version.
        if [[ $package == clang-runtime ]]; then
            package=libclang-rt-$(apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')-dev
        fi
        packages+=("$package")
    done
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
}

print_other_ways() {
    cat <<'TEXT'
This is not Debian or Ubuntu. On a cluster, load its modules, for example
  module load gcc cmake ninja openmpi hdf5/parallel openblas python
or let Spack build the rest (the recipe for toysweep itself is in tools/spack):
  spack install cmake ninja pkgconf openmpi hdf5+mpi libyaml openssl zlib openblas
  spack load cmake ninja pkgconf openmpi hdf5+mpi libyaml openssl zlib openblas
(and cmocka for the tests), and for the plots
  python3 -m pip install numpy h5py matplotlib xarray h5netcdf netCDF4 PyYAML tqdm
TEXT
}

mapfile -t missing < <(missing_packages)
if ((${#missing[@]})); then
    if command -v apt-get >/dev/null; then
        echo "Installing: ${missing[*]}"
        install_with_apt "${missing[@]}"
        hash -r
    else
        print_other_ways
    fi
fi

# --- What there is now ---------------------------------------------------------------------------------------------
absent=0
for line in "${needed[@]}"; do
    IFS='|' read -r name package check <<<"$line"
    if found=$($check 2>/dev/null); then
        printf '  %-20s %s\n' "$name" "$found"
    elif [[ $name == Slurm ]]; then
        printf '  %-20s absent: tests that need it are skipped\n' "$name"
    else
        printf '  %-20s MISSING (Debian: %s)\n' "$name" "$package"
        absent=$((absent + 1))
    fi
done
if ((absent)); then
    echo "setup: $absent of ${#needed[@]} things are missing." >&2
    exit 1
fi
