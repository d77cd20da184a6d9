#!/usr/bin/env bash
# Everything that `make test` checks, in the order in which it is cheapest to fail.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=0 # one build of each thing: nothing to keep for a next one
# Every cargo command below is of the whole workspace: with -p, features differ and everything is compiled again.

step() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

step "formatting"
cargo fmt --all --check

step "protobuf: buf lint and compatibility"
scripts/check-proto.sh

step "grpcurl (for the reflection test)"
scripts/fetch-grpcurl.sh

step "clippy"
cargo clippy --workspace --all-targets --locked -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

step "build"
cargo build --workspace --locked

step "tests"
cargo test --workspace --locked

step "packages on a clean Debian, and two hospitals by the runbook"
scripts/test-release.sh

step "monitoring: alerts and dashboard in a real Prometheus"
scripts/check-monitoring.sh

step "python example"
make --no-print-directory examples/python/.venv/ready
cargo test --workspace --locked --test python_example -- --ignored

step "interoperability: the peer in Python"
make --no-print-directory tests/interop/.venv/ready
cargo test --workspace --locked --test interop -- --ignored

step "evaluation: its own tests"
make --no-print-directory test-evaluation

step "gateway: DCMTK as the modality"
scripts/test-gateway.sh

step "containers: the compose project"
# Whether this machine's engine can do at all what the tests build on: networks, published ports. Nothing of ours runs in it.
engine_works() {
    local name=latentwire-probe-$$ status=0
    docker network create "$name" >/dev/null || return
    docker run --rm --network "$name" --publish 127.0.0.1::50061 --memory 64m --pids-limit 16 local/bookworm true || status=$?
    docker network rm "$name" >/dev/null
    return "$status"
}
why=$(mktemp)
containers=0
if docker compose version >/dev/null 2>&1 || docker-compose version >/dev/null 2>&1; then
    scripts/images.sh --bin "${CARGO_TARGET_DIR:-target}/debug" --tag test 2>"$why" || containers=$?
    [ "$containers" -ne 0 ] || engine_works 2>"$why" || containers=75
else
    echo "no docker compose is installed" >"$why"
    containers=75
fi
case $containers in
0) cargo test --workspace --locked --test compose -- --ignored --test-threads 1 --nocapture ;;
75) printf 'SKIPPED: %s\n' "$(tail -n 1 "$why")" ;;
*) cat "$why" >&2 && exit "$containers" ;;
esac
rm -f -- "$why"
