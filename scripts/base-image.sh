#!/usr/bin/env bash
# Makes a Debian 12 base image without any image registry: debootstrap from a Debian mirror, then `docker import`.
#
#   scripts/base-image.sh [IMAGE]      IMAGE instead of local/bookworm
#   scripts/base-image.sh --archive    only the archive that it is imported from, for tests that need no Docker engine
#
# Does nothing when the image is there. What debootstrap made is kept in .tools/base-image/, so that another engine, or one
# that was cleaned, has the image again in seconds; delete that folder to take in what Debian has mended since.
#
# For machines that reach no registry (a hospital's build host, continuous integration). Where debian:bookworm-slim can be
# pulled, use that: the images of deploy/Dockerfile take either.
#
# Ends with 75 (and says why) where it cannot be done here at all: no root, no mirror, no Docker engine.
# Environment: DEBIAN_MIRROR (http://deb.debian.org/debian).
set -euo pipefail
cd "$(dirname "$0")/.."

image=${1:-local/bookworm}
suite=bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
architecture=$(dpkg --print-architecture 2>/dev/null || uname -m)
folder=.tools/base-image
archive=$folder/$suite-$architecture.tar.gz
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

impossible() {
    printf 'base-image: %s\n' "$1" >&2
    exit 75
}

if [ "$image" = --archive ]; then
    [ ! -s "$archive" ] || exit 0
else
    docker version >/dev/null 2>&1 || impossible "no Docker engine answers"
    if docker image inspect "$image" >/dev/null 2>&1; then
        exit 0
    fi
fi

mkdir -p -- "$folder"
work=
finish() {
    # Nothing below it is mounted any more, or --one-file-system spares what is.
    [ -z "$work" ] || rm -rf --one-file-system -- "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# debootstrap itself: the installed one, or Debian's package unpacked beside the archive; nothing is installed.
bring_debootstrap() {
    if command -v debootstrap >/dev/null; then
        debootstrap=(debootstrap)
        return
    fi
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
        impossible "debootstrap is not installed, and this is no Debian to bring it from"
    local own=("-o" "Dir::State::Lists=$PWD/$work/lists" "-o" "Dir::Cache=$PWD/$work/cache" "-o" "APT::Sandbox::User=root")
    mkdir -p -- "$work/lists/partial" "$work/cache/archives/partial" "$work/deb"
    apt-get "${own[@]}" update --quiet >"$work/apt.log" 2>&1 &&
        (cd "$work/deb" && apt-get "${own[@]}" download debootstrap) >>"$work/apt.log" 2>&1 || {
        tail -n 5 "$work/apt.log" >&2
        impossible "debootstrap is not installed and could not be downloaded (apt-get install debootstrap)"
    }
    dpkg-deb --extract "$work"/deb/debootstrap_*.deb "$work/debootstrap"
    debootstrap=(env "DEBOOTSTRAP_DIR=$PWD/$work/debootstrap/usr/share/debootstrap" "$work/debootstrap/usr/sbin/debootstrap")
}

if [ ! -s "$archive" ]; then
    [ "$(id -u)" -eq 0 ] || impossible "debootstrap needs root; run scripts/base-image.sh once as root"
    work=$(mktemp -d -- "$folder/work.XXXXXX")
    reachable=$(python3 -c '
import sys, urllib.request
try:
    urllib.request.urlopen(sys.argv[1], timeout=30).read(1)
except (OSError, ValueError) as error:
    print(error)' "$mirror/dists/$suite/InRelease")
    [ -z "$reachable" ] || impossible "the Debian mirror $mirror cannot be reached ($reachable)"
    bring_debootstrap
    [ -f "$keyring" ] || impossible "$keyring is missing: apt-get install debian-archive-keyring"
    printf 'base-image: debootstrap %s from %s (about a minute)\n' "$suite" "$mirror" >&2
    if ! "${debootstrap[@]}" --variant=minbase --keyring="$keyring" "$suite" "$work/root" "$mirror" >"$work/debootstrap.log" 2>&1; then
        tail -n 20 "$work/debootstrap.log" >&2
        printf 'base-image: debootstrap failed\n' >&2
        exit 1
    fi
    # As Debian's own slim image has it: no package archives and lists, no manuals; copyright files stay.
    root=$work/root
    rm -rf -- "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/man/* \
        "$root"/usr/share/info/* "$root"/usr/share/locale/* "$root"/tmp/* "$root"/etc/resolv.conf "$root"/etc/hostname
    find "$root/usr/share/doc" -type f ! -name copyright -delete
    find "$root/usr/share/doc" -type l -delete
    find "$root/usr/share/doc" -type d -empty -delete
    tar --create --gzip --numeric-owner --one-file-system --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' \
        --directory "$root" --file "$archive.new" .
    mv -- "$archive.new" "$archive"
fi

[ "$image" != --archive ] || exit 0
docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' --change 'CMD ["bash"]' \
    --change "LABEL org.opencontainers.image.title=debian-$suite-minbase" \
    --change "LABEL org.opencontainers.image.source=$mirror" \
    --message "debootstrap $suite" "$archive" "$image" >/dev/null
printf 'base-image: %s is there\n' "$image" >&2
