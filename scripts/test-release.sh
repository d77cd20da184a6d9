#!/usr/bin/env bash
# The release as a hospital meets it: packages made, installed on a clean Debian without network, run under systemd, purged; then
# the runbook of two hospitals, command by command, between two network namespaces.
#
# Usage: scripts/test-release.sh [packages|two-sites]      only that part; two-sites makes packages where there are none
#
# Takes the debug build's programs. Nothing has to be installed by hand: what the tests need besides python3, dpkg-dev, binutils
# and iproute2 lies in Debian machines of their own, made once in .tools/machines (a few minutes, a Debian mirror, root). Where
# that cannot be had, one line says SKIPPED and why. Ends with 1 where something is not as it must be.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=0 PYTHONDONTWRITEBYTECODE=1
part=${1:-all}
case $part in
all | packages | two-sites) ;;
*) printf 'test-release: unknown part %s; see the head of scripts/test-release.sh\n' "$part" >&2 && exit 2 ;;
esac
target=${CARGO_TARGET_DIR:-target}

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    printf 'SKIPPED: packages are made and installed on Linux x86_64\n'
    exit 0
fi
scripts/fetch-onnxruntime.sh
# Of the whole workspace, as the other tests build it: with -p, features differ and everything is compiled again.
cargo build --quiet --workspace --locked

# Always of the programs that were just built: an older package proves nothing.
packages=$target/packages
rm -rf -- "$packages"
if [ "$part" = two-sites ]; then
    deploy/release/package.sh --fast --binaries "$target/debug" --output "$packages"
else
    python3 tests/release/installed.py --binaries "$target/debug" --output "$packages"
fi
# Without packages the first test was skipped, and has said why.
if [ "$part" != packages ] && [ -d "$packages" ]; then
    python3 tests/two_sites/run.py --packages "$packages"
fi
