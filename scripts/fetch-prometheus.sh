#!/usr/bin/env bash
# Brings prometheus and promtool out of Debian's package into .tools/, as any user; apt checks the archive's signature. Instant
# when they are there. Ends with 3 and one line where the machine has no apt, or the mirror cannot be reached.
set -euo pipefail
cd "$(dirname "$0")/.."

missing() {
    printf 'SKIPPED: %s\n' "$1"
    exit 3
}

if [ -x .tools/prometheus ] && [ -x .tools/promtool ]; then
    exit 0
fi
mkdir -p .tools
if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    ln -sf "$(command -v prometheus)" .tools/prometheus
    ln -sf "$(command -v promtool)" .tools/promtool
    exit 0
fi
command -v apt-get >/dev/null || missing "no prometheus on PATH, and no apt-get to bring it"
command -v dpkg-deb >/dev/null || missing "no prometheus on PATH, and no dpkg-deb to unpack it"

work=$(mktemp -d .tools/fetch-prometheus.XXXXXX)
trap 'rm -rf "$work"' EXIT
download() { (cd "$work" && timeout 300 apt-get download prometheus >log 2>&1); }
if ! download; then
    # The lists may be old or absent; only root may renew them.
    [ "$(id -u)" -ne 0 ] || timeout 300 apt-get update >"$work/update.log" 2>&1 || true
    download || missing "Debian's mirror does not give the package prometheus: $(tail -n 1 "$work/log")"
fi
dpkg-deb -x "$work"/prometheus_*.deb "$work/package"
for program in prometheus promtool; do
    "$work/package/usr/bin/$program" --version >/dev/null 2>&1 || missing "Debian's $program does not run on this machine"
    mv "$work/package/usr/bin/$program" ".tools/$program"
done
