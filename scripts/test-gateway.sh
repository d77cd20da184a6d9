#!/usr/bin/env bash
# pacs-gateway before a foreign modality: DCMTK's echoscu and storescu against the real services. DCMTK is taken where it is
# installed; root gets it from the distribution; elsewhere one line says why nothing was run. The gateway's other tests, with an
# SCU of their own, need no DCMTK and run with the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=0

missing() {
    local tool
    for tool in echoscu storescu dcmconv dcmcrle dcmcjpeg dcmcjpls dcmodify; do
        command -v "$tool" >/dev/null || { echo "$tool" && return; }
    done
}

if [ -n "$(missing)" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "installing dcmtk" >&2
    install() { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends dcmtk; }
    { install || { apt-get update && install; }; } >/dev/null 2>&1 || true
fi
if [ -n "$(missing)" ]; then
    echo "SKIPPED: DCMTK's $(missing) is not installed (Debian: apt-get install dcmtk)"
    exit 0
fi
scripts/fetch-onnxruntime.sh
# Of the whole workspace, so that nothing is compiled again with other features.
cargo build --workspace --locked
cargo test --workspace --locked --test gateway_dcmtk -- --ignored --test-threads 2
