#!/usr/bin/env bash
# Whether a release can be made again: builds one commit twice, from nothing, in two folders of different names and lengths,
# under different time zones, locales and umasks, and compares the packages. Where they differ it names the files.
#
# Usage: scripts/release-check.sh [COMMIT]      COMMIT instead of HEAD
#
# Takes two whole release builds; `nice scripts/release-check.sh` leaves the machine to others. Ends with 0 where every hash is
# the same, with 1 where one is not. Environment: TMPDIR (/var/tmp; about 3 GB are used there and given back).
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$(git rev-parse --verify "${1:-HEAD}^{commit}")
work=$(mktemp -d -- "${TMPDIR:-/var/tmp}/latentwire-release-check.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
scripts/fetch-onnxruntime.sh
unset CARGO_TARGET_DIR SOURCE_DATE_EPOCH

# build NAME VARIABLE=VALUE...: a release of the commit, in a clone of its own.
build() {
    local clone=$work/$1 started=$SECONDS
    shift
    git clone --quiet --no-checkout . "$clone"
    git -C "$clone" checkout --quiet --detach "$commit"
    cp -R .onnxruntime "$clone/"
    env "$@" "$clone/scripts/release.sh" "$clone/packages" >"$clone.log" 2>&1 || {
        tail -n 40 "$clone.log" >&2
        printf 'release-check: the build in %s failed\n' "$clone" >&2
        exit 1
    }
    printf 'release-check: built in %d s\n' "$((SECONDS - started))"
    cat "$clone/packages/SHA256SUMS"
    # Only what is compared is kept.
    rm -rf -- "${clone:?}/target"
}

# hashes PACKAGES FOLDER: the SHA-256 sum of every file inside the packages.
hashes() {
    mkdir -p -- "$2/tarball" "$2/deb"
    tar --extract --file "$1"/*.tar.gz --directory "$2/tarball"
    dpkg-deb --raw-extract "$1"/*.deb "$2/deb"
    (cd -- "$2" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

build first TZ=UTC LC_ALL=C
(umask 077 && build second-with-a-longer-name TZ=Asia/Tokyo LC_ALL=C.UTF-8)
first=$work/first second=$work/second-with-a-longer-name
if cmp --silent "$first/packages/SHA256SUMS" "$second/packages/SHA256SUMS"; then
    printf 'release-check: the same hashes; commit %s can be made again\n' "$commit"
    exit 0
fi
printf 'release-check: the hashes differ. Files that do (< first, > second); none where it is the archives alone:\n' >&2
diff <(hashes "$first/packages" "$work/a") <(hashes "$second/packages" "$work/b") >&2 || true
exit 1
