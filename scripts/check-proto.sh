#!/usr/bin/env bash
# Lints proto/ with buf's STANDARD rules and compares it with proto/baseline.binpb, the last published contract.
#   scripts/check-proto.sh                    check
#   scripts/check-proto.sh --accept-baseline  write the baseline anew, after a change that was meant
# buf comes from PyPI (buf-bin) into .tools/ on the first call; after that no network is needed.
set -euo pipefail

BUF_VERSION=1.75.0
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
tools="$root/.tools/buf-$BUF_VERSION"

find_buf() { [ ! -d "$tools" ] || find "$tools" -type f -name buf -perm -u+x | head -n 1; }

buf="$(find_buf)"
if [ -z "$buf" ]; then
    echo "fetching buf $BUF_VERSION into .tools/" >&2
    mkdir -p "$root/.tools"
    rm -rf "$tools.part"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --target "$tools.part" "buf-bin==$BUF_VERSION"
    rm -rf "$tools"
    mv "$tools.part" "$tools"
    buf="$(find_buf)"
    [ -n "$buf" ] || { echo "check-proto: the package buf-bin $BUF_VERSION holds no program named buf" >&2; exit 1; }
fi

cd "$root/proto"
"$buf" lint
if [ "${1:-}" = "--accept-baseline" ]; then
    "$buf" build --as-file-descriptor-set --exclude-source-info -o baseline.binpb
    echo "proto/baseline.binpb written"
else
    "$buf" breaking --against baseline.binpb
fi
echo "proto: lint and compatibility ok"
