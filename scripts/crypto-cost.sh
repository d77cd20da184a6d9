#!/bin/bash
# What the cryptography costs: handshake, sealing and opening beside aws-lc-rs and `openssl speed` in the same run, and its share
# of whole journeys through the real services. Prints a table and writes it to docs/figures/crypto-cost.md.
set -euo pipefail
cd "$(dirname "$0")/.."
page=${1:-docs/figures/crypto-cost.md}
target=${CARGO_TARGET_DIR:-target}

cargo build --quiet --release --locked -p latentwire-sealing --example crypto_cost
cargo build --quiet --profile ci --locked -p sender-svc -p receiver-svc -p latentwire-cli
library=$(ls .onnxruntime/libonnxruntime.so.* | head -n 1)
work=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf -- "$work"
}
trap finish EXIT

"$target/release/examples/crypto_cost" >"$work/cost.json"
openssl speed -elapsed -seconds 2 -bytes 65536 -evp aes-256-gcm >"$work/openssl.txt" 2>/dev/null || : >"$work/openssl.txt"

bin=$target/ci
read -r transfer image receiver_admin sender sender_admin < <(python3 - <<'PY'
import socket
sockets = [socket.socket() for _ in range(5)]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
PY
)
"$bin/latentwire" keys generate --quiet --role sender -o "$work/sender.key"
"$bin/latentwire" keys generate --quiet --role receiver -o "$work/receiver.key"
"$bin/latentwire" trust add --quiet "$work/trust.toml" --name cost --key "$work/sender.key.pub"
common=(--models models --onnxruntime "$library" --pool 1 --log warn)
"$bin/receiver-svc" --listen-transfer "127.0.0.1:$transfer" --listen-image "127.0.0.1:$image" --admin "127.0.0.1:$receiver_admin" \
    --key "$work/receiver.key" --trust "$work/trust.toml" --data "$work/data" "${common[@]}" >/dev/null 2>"$work/receiver.log" &
pids+=($!)
"$bin/sender-svc" --listen "127.0.0.1:$sender" --admin "127.0.0.1:$sender_admin" --key "$work/sender.key" \
    --destination "cost=http://127.0.0.1:$transfer,$work/receiver.key.pub" "${common[@]}" >/dev/null 2>"$work/sender.log" &
pids+=($!)
for url in "http://127.0.0.1:$transfer" "http://127.0.0.1:$sender"; do
    for _ in $(seq 300); do "$bin/latentwire" health --quiet "$url" 2>/dev/null && break; sleep 0.2; done
    "$bin/latentwire" health --quiet "$url" || { cat "$work"/*.log >&2; exit 1; }
done
mapfile -t pictures < <(find samples -type f \( -name '*.png' -o -name '*.jpg' \) | sort)
for round in 1 2 3; do
    "$bin/latentwire" send --quiet --json --parallel 1 --sender "http://127.0.0.1:$sender" --below-floor send-marked --mode latent \
        "${pictures[@]}" >"$work/journeys-$round.jsonl" || true
done
python3 scripts/crypto_cost.py "$work" "$page"
