#!/usr/bin/env bash
# `docker compose up` from images that it builds first, with a registry or without; what arrived is copied to
# demo-output/containers, and containers, networks and volumes are removed again. Ends with 0 only if every image arrived.
set -euo pipefail
cd "$(dirname "$0")/.."

out=demo-output/containers
project=(-p latentwire-demo)
if docker compose version >/dev/null 2>&1; then
    compose=(docker compose "${project[@]}")
elif docker-compose version >/dev/null 2>&1; then
    compose=(docker-compose "${project[@]}")
else
    printf 'compose-demo: neither docker compose nor docker-compose is installed\n' >&2
    exit 75
fi

scripts/images.sh --profile ci
finish() {
    local status=$?
    trap - EXIT INT TERM
    [ "$status" -eq 0 ] || "${compose[@]}" logs --no-color --tail 20 sender receiver >&2 || true
    "${compose[@]}" down --volumes --timeout 40 >/dev/null 2>&1 || true
    [ "$status" -eq 0 ] || printf 'compose-demo: it failed, see above. Ports in use? LATENTWIRE_SENDER_PORT and its like name others: docs/CONTAINERS.md\n' >&2
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"${compose[@]}" down --volumes --timeout 40 >/dev/null 2>&1 # of a demo that was killed
"${compose[@]}" up --no-build -d
demo=$(docker ps -aq --filter label=com.docker.compose.project=latentwire-demo --filter label=com.docker.compose.service=demo)
docker logs --follow "$demo"
status=$(docker wait "$demo")
rm -rf -- "$out"
mkdir -p -- "$out"
docker cp "$demo:/output/." "$out" >/dev/null
[ "$status" -eq 0 ] && printf 'Look at %s/contact-sheet.png and %s/received.\n' "$out" "$out"
exit "$status"
