#!/usr/bin/env bash
# The attack kit in its long form, and how many adversarial cases it has tried: counted by the tests as they go.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=0
least=143 # what age's kit has

counts=$(mktemp -d)
trap 'rm -rf -- "$counts"' EXIT
cargo build --workspace --locked
LATENTWIRE_ATTACKS=long LATENTWIRE_ATTACK_COUNTS=$counts \
    cargo test --workspace --locked --test attacks -- --nocapture
for count in "$counts"/*; do
    printf '%8d %s\n' "$(cat "$count")" "${count##*/}"
done
cases=$(cat "$counts"/* | awk '{ cases += $1 } END { print cases + 0 }')
echo "adversarial cases: $cases"
[ "$cases" -ge "$least" ] || { echo "fewer than $least" >&2 && exit 1; }
