#!/bin/sh
# Lays out what the images hold below OUT, inside the build stage of deploy/Dockerfile:
#
#   OUT/common/   latentwire, ONNX Runtime, models, licences, bill of materials: part of every image
#   OUT/bin/      sender-svc, receiver-svc
#
# The programs come out of cargo where the build base has it (rust:1-bookworm), and out of prebuilt/, which
# scripts/images.sh fills, where it has not.
#
# Usage: deploy/stage.sh OUT [SHA256 of the bill of materials, checked where given]
set -eu
out=$1
expected=${2:-}

fail() {
    echo "stage: $*" >&2
    exit 1
}

if command -v cargo >/dev/null; then
    if ! ls .onnxruntime/libonnxruntime.so.* >/dev/null 2>&1; then
        python3 -m pip --version >/dev/null 2>&1 || {
            apt-get update -qq
            apt-get install -y -qq --no-install-recommends python3 python3-pip
        }
        scripts/fetch-onnxruntime.sh
    fi
    cargo build --locked --release -p sender-svc -p receiver-svc -p latentwire-cli
    bin=target/release
    lib=.onnxruntime
    python3 scripts/sbom.py -o sbom.cdx.json
    sbom=sbom.cdx.json
else
    [ -x prebuilt/bin/sender-svc ] ||
        fail "the build base has no cargo, and prebuilt/ holds no programs: run scripts/images.sh, or leave BUILD_BASE at its default"
    bin=prebuilt/bin
    lib=prebuilt/lib
    sbom=prebuilt/sbom.cdx.json
fi
if [ -n "$expected" ] && [ "$(sha256sum "$sbom" | cut -d' ' -f1)" != "$expected" ]; then
    fail "the bill of materials is not the one that its label would name ($expected): run scripts/images.sh again"
fi

prefix=$out/common/usr/local
documents=$prefix/share/doc/latentwire
install -d "$out/bin" "$prefix/bin" "$prefix/lib/latentwire" "$prefix/share/latentwire" "$documents/onnxruntime"
install -m 0755 "$bin/sender-svc" "$bin/receiver-svc" "$out/bin/"
install -m 0755 "$bin/latentwire" "$prefix/bin/"
install -m 0644 "$lib"/libonnxruntime.so.* "$prefix/lib/latentwire/"
install -m 0644 "$lib/LICENSE" "$lib/ThirdPartyNotices.txt" "$documents/onnxruntime/"
install -m 0644 LICENSE* "$documents/"
install -m 0644 "$sbom" "$documents/sbom.cdx.json"
cp -R models "$prefix/share/latentwire/"
# What serves research is no part of an image, also where the context was not made by .dockerignore.
rm -rf "$prefix/share/latentwire/models/research"
chmod -R u=rwX,go=rX "$out/common"
# One name whatever the version, so that the images' environment can say it.
ln -s "$(basename "$lib"/libonnxruntime.so.*)" "$prefix/lib/latentwire/libonnxruntime.so"
