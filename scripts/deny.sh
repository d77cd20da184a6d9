#!/usr/bin/env bash
# Licences, bans and sources of every crate, and known advisories where the database can be reached.
# cargo-deny is built once, pinned, into .tools/ (about five minutes on two cores).
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
tool=.tools/cargo-deny-$version/bin/cargo-deny
if [ ! -x "$tool" ]; then
    CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        cargo install --quiet --locked --root ".tools/cargo-deny-$version" cargo-deny --version "$version"
fi
cargo fetch --quiet --locked # of every platform: what is checked offline must be here
"$tool" --offline check --hide-inclusion-graph licenses bans sources
if "$tool" fetch db 2>/dev/null; then
    "$tool" check --hide-inclusion-graph advisories
else
    echo "SKIPPED: the advisory database cannot be reached from here" >&2
fi
