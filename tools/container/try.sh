#!/usr/bin/env bash
# Runs the steps of Dockerfile and toysweep.def without any container program: two bare Debians made by debootstrap, one
# that builds and one that runs, then the quickstart's sweep on two ranks as an ordinary user. As root; needs some 6 GB.
#   tools/container/try.sh [DEBIAN [FOLDER]]     default: bookworm, in a temporary folder.
#                                                FOLDER must not be there yet, and is removed at the end
# Debian's mirror: the environment's MIRROR, else the first one of this machine.
set -euo pipefail

if [[ ${1:-} == --help ]] || (($# > 2)); then
    sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}"
    [[ ${1:-} == --help ]] && exit 0
    exit 2
fi
debian=${1:-bookworm}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mirror=${MIRROR:-$(cat /etc/apt/sources.list{,.d/*} 2>/dev/null |
    sed '/^#/d' | grep -Eo 'https?://[^] ]+' | head -n 1 || true)}

folder=${2:-$(mktemp -du)}
mkdir "$folder"

finish() {
    local place
    for place in "$folder"/*/proc "$folder"/*/dev/shm; do
        mountpoint -q "$place" && umount "$place"
    done
    rm -rf "$folder"
}
trap finish EXIT

bare() { # NAME: a bare Debian in $folder/NAME
    debootstrap --variant=minbase --include=ca-certificates "$debian" "$folder/$1" "$mirror" >"$folder/$1.log" ||
        { tail "$folder/$1.log"; exit 1; }
    cp /etc/resolv.conf /etc/hosts "$folder/$1/etc/"
    cp -r /etc/apt/apt.conf.d /etc/apt/trusted.gpg.d /etc/apt/auth.conf.d "$folder/$1/etc/apt/" 2>/dev/null || true
    mount -t proc proc "$folder/$1/proc"
    mkdir -p "$folder/$1/dev/shm"
    mount -t tmpfs tmpfs "$folder/$1/dev/shm"
}

inside() { # NAME COMMAND...
    local name=$1
    shift
    chroot "$folder/$name" /usr/bin/env -i PATH=/opt/toysweep/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root LANG=C.UTF-8 PYTHONPATH=/opt/toysweep/share/toysweep/tools "$@"
}

echo "== build stage"
bare build
git -C "$root" archive --prefix=src/ HEAD | tar -x -C "$folder/build"
inside build apt-get update -q
inside build /src/tools/container/build.sh build /opt/toysweep

echo "== final stage"
bare final
cp -r "$folder/build/opt/toysweep" "$folder/final/opt/"
cp "$root/tools/container/build.sh" "$folder/final/tmp/"
inside final /tmp/build.sh run /opt/toysweep
inside final useradd --create-home toysweep

echo "== as an ordinary user"
# shellcheck disable=SC2016 # the PATH in there
inside final su toysweep -c '
    export PATH=/opt/toysweep/bin:$PATH OMPI_MCA_rmaps_base_oversubscribe=1 \
        PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
    cd && mpirun -n 2 toysweep run /opt/toysweep/share/toysweep/sweeps/quickstart.yaml -o quickstart.h5 &&
    toysweep-plot quickstart.h5 -o figures && ls figures'
echo "both stages of $debian work"
