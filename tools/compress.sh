#!/usr/bin/env bash
# tools/compress.sh FILE.h5 SMALL.h5: a compressed copy of a finished results file, for archives and mail. HDF5 programs
# read it like the original; only `toysweep run` cannot continue it, because it writes rows at fixed places.
set -euo pipefail

if (($# != 2)); then
    sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
command -v h5repack >/dev/null || { echo "compress.sh: no h5repack: run tools/setup.sh (Debian: hdf5-tools)" >&2; exit 1; }
[[ -f $1 ]] || { echo "compress.sh: $1: no such file" >&2; exit 1; }
[[ ! -e $2 ]] || { echo "compress.sh: $2 is there already: not overwritten" >&2; exit 1; }

# Bytes of a number lie side by side in neighbouring rows (SHUF), so gzip finds more. Small datasets stay as they are.
h5repack --filter=SHUF --filter=GZIP=6 --minimum=4096 "$1" "$2.tmp"
mv "$2.tmp" "$2"
printf '%s: %d bytes, %s: %d bytes\n' "$1" "$(stat -c %s "$1")" "$2" "$(stat -c %s "$2")"
