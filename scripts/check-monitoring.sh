#!/usr/bin/env bash
# Alerts and dashboard against Prometheus itself: promtool checks and tests the rules, and a real Prometheus scrapes two real
# services and evaluates every expression. Where Prometheus cannot be had, one line says so; the test `monitoring`, which holds
# every expression against the services' own /metrics, needs none and runs with the others.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
scripts/fetch-prometheus.sh || status=$?
[ "$status" -ne 3 ] || exit 0
[ "$status" -eq 0 ] || exit "$status"

.tools/promtool check config deploy/prometheus.yml
.tools/promtool test rules deploy/alerts.test.yml
# Of the whole workspace, so that nothing is compiled again with other features.
cargo test --workspace --locked --test monitoring -- --ignored
