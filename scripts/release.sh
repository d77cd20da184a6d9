#!/usr/bin/env bash
# Makes the release out of this checkout: tarball, .deb and SHA256SUMS.
#
# Usage: scripts/release.sh [OUTPUT]      into OUTPUT instead of target/dist
#
# The same commit gives the same bytes (scripts/release-check.sh proves it); docs/INSTALL.md says what else must be the same.
# Needs an x86_64 Debian with rustup, gcc, python3 with pip, dpkg-dev and binutils; package.sh names what is missing.
set -euo pipefail
output=${1:-}
[ -z "$output" ] || { mkdir -p -- "$output" && output=$(cd -- "$output" && pwd); }
cd "$(dirname "$0")/.."
output=${output:-$PWD/target/dist}
target=${CARGO_TARGET_DIR:-target}

# An error here stops before the long build: no git, or no commit to take the time stamps from.
commit=$(git rev-parse HEAD)
if [ -n "$(git status --porcelain)" ]; then
    printf 'release: this checkout holds what is not committed: the packages will match no commit\n' >&2
    commit="$commit, and changes that are not committed"
fi

scripts/fetch-onnxruntime.sh
deploy/release/build.sh "$target"
rm -rf -- "$output"
deploy/release/package.sh --binaries "$target/release" --output "$output"
printf 'release: %s, of commit %s\n' "$output" "$commit"
