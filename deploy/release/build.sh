#!/usr/bin/env bash
# Builds the release binaries so that two builds of one commit give the same bytes, wherever they are built.
#
# Usage: deploy/release/build.sh TARGET_FOLDER      the binaries lie in TARGET_FOLDER/release afterwards
#
# What would differ from one folder or machine to the next is mapped to fixed names: the checkout, cargo's registry, the
# toolchain, the target folder. Same inputs means: same commit, same Cargo.lock, same rustc, same C compiler (it builds
# SQLite), same linker and glibc. docs/INSTALL.md says how to check a published hash.
set -euo pipefail
target=${1:?usage: build.sh TARGET_FOLDER}
mkdir -p -- "$target"
target=$(cd -- "$target" && pwd)
cd "$(dirname "$0")/../.."
checkout=$PWD
cargo_home=${CARGO_HOME:-$HOME/.cargo}
toolchain=$(rustc --print sysroot)

# The last mapping that fits wins, so the outer folders come first.
maps=()
c_flags=
for pair in "$cargo_home=/cargo" "$toolchain=/rust" "$checkout=/latentwire" "$target=/target"; do
    maps+=("--remap-path-prefix=$pair")
    c_flags+=" $(printf %q "-ffile-prefix-map=$pair")"
done
separator=$'\x1f'
CARGO_ENCODED_RUSTFLAGS=$(IFS=$separator && printf '%s' "${maps[*]}")
export CARGO_ENCODED_RUSTFLAGS
unset RUSTFLAGS
# Folders may have spaces in their names.
export CC_SHELL_ESCAPED_FLAGS=1 CFLAGS=$c_flags CXXFLAGS=$c_flags
export CARGO_INCREMENTAL=0 LC_ALL=C TZ=UTC

packages=()
while read -r _binary package; do
    packages+=(-p "$package")
done < <(grep -v '^#' deploy/release/binaries.list)
exec cargo build --release --locked --target-dir "$target" "${packages[@]}"
