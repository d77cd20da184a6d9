#!/usr/bin/env bash
# Sends every picture of samples/ from one process to another and shows what arrived.
#
#   demo-output/received/           the received files, under the names they were sent by
#   demo-output/research/           three of them once more: below the chaos cipher, as rows of the raw latent, and by paper B's net below its cipher
#   demo-output/contact-sheet.png   original | received | eightfold difference
#   demo-output/results.jsonl       the figures, one JSON object an image; research.jsonl: of those three
#   demo-output/*.log               the services' logs
#
# What serves research and not a hospital is refused by a receiver that was not told to take it; this one is told.
#
# Needs Rust and Python 3; does the rest of its set-up itself. Ends with 0 only if every image arrived, each exact one bit
# for bit, and both services stopped in time.
set -euo pipefail
cd "$(dirname "$0")/.."

samples=samples
out=demo-output
stop_seconds=30

receiver_pid=
sender_pid=
private=

say() { printf '\n== %s\n' "$1"; }

fail() {
    printf 'demo: %s\n' "$1" >&2
    exit 1
}

# What is left to do however the demo ends: no process and no secret key stays behind.
finish() {
    local status=$?
    trap - EXIT INT TERM
    for pid in $sender_pid $receiver_pid; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [ -n "$private" ]; then
        rm -rf -- "$private"
    fi
    if [ "$status" -ne 0 ]; then
        for log in "$out"/*.log; do
            [ -f "$log" ] || continue
            printf '\n-- the end of %s\n' "$log" >&2
            tail -n 20 "$log" >&2
        done
        printf '\ndemo: failed\n' >&2
    fi
    exit "$status"
}
# One demo at a time: two would delete each other's folder. The lock goes with this process.
exec 9<scripts/demo.sh
flock --nonblock 9 || fail "another demo runs in this checkout; wait for its end"

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# free_ports PORT...: each port if nobody listens there, else another one that is free.
free_ports() {
    python3 - "$@" <<'PYTHON'
import socket, sys

held = []
for wanted in map(int, sys.argv[1:]):
    for port in (wanted, 0):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            continue
        held.append(listener)
        break
print(*(listener.getsockname()[1] for listener in held))
PYTHON
}

# wait_ready NAME PID ADMIN-PORT
wait_ready() {
    for _ in $(seq 600); do
        kill -0 "$2" 2>/dev/null || fail "$1 ended instead of getting ready"
        if python3 -c '
import sys, urllib.request
try:
    urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/readyz", timeout=2)
except OSError:
    sys.exit(1)' "$3"; then
            return
        fi
        sleep 0.1
    done
    fail "$1 was not ready after a minute"
}

# stop NAME PID: SIGTERM, then the exit status must be 0 in time.
stop() {
    local begun=$SECONDS status=0
    kill -TERM "$2" 2>/dev/null || fail "$1 had ended before it was stopped"
    while kill -0 "$2" 2>/dev/null; do
        [ $((SECONDS - begun)) -lt "$stop_seconds" ] || fail "$1 did not stop within $stop_seconds seconds of SIGTERM"
        sleep 0.1
    done
    wait "$2" || status=$?
    [ "$status" -eq 0 ] || fail "$1 ended with $status"
    printf '%s stopped\n' "$1"
}

command -v cargo >/dev/null || fail "cargo is not installed: see https://rustup.rs"
command -v python3 >/dev/null || fail "python3 is not installed"

say "ONNX Runtime"
scripts/fetch-onnxruntime.sh
library=$(find .onnxruntime -maxdepth 1 -name 'libonnxruntime.so.*' | sort | tail -n 1)
printf '%s\n' "$library"

say "Build"
cargo build --profile ci --locked -p sender-svc -p receiver-svc -p latentwire-cli
bin=${CARGO_TARGET_DIR:-target}/ci
latentwire=$bin/latentwire

say "Keys and trust"
rm -rf -- "$out"
mkdir -p -- "$out/received"
private=$(mktemp -d -- "$out/private.XXXXXX")
"$latentwire" keys generate --role sender -o "$private/sender.key"
"$latentwire" keys generate --role receiver -o "$private/receiver.key"
"$latentwire" trust add "$private/trust.toml" --name clinic-a --key "$private/sender.key.pub" --role sender

say "Services"
read -r send_port send_admin transfer_port image_port receive_admin <<<"$(free_ports 50051 9451 50061 50062 9461)"
"$bin/receiver-svc" --listen-transfer "127.0.0.1:$transfer_port" --listen-image "127.0.0.1:$image_port" \
    --admin "127.0.0.1:$receive_admin" --key "$private/receiver.key" --trust "$private/trust.toml" \
    --data "$private/store" --allow-research chaos4,rows,models \
    --models models --onnxruntime "$library" >"$out/receiver-svc.log" 2>&1 9<&- &
receiver_pid=$!
"$bin/sender-svc" --listen "127.0.0.1:$send_port" --admin "127.0.0.1:$send_admin" --key "$private/sender.key" \
    --destination "clinic-b=http://127.0.0.1:$transfer_port,$private/receiver.key.pub" \
    --models models --research-models --onnxruntime "$library" >"$out/sender-svc.log" 2>&1 9<&- &
sender_pid=$!
wait_ready receiver-svc "$receiver_pid" "$receive_admin"
wait_ready sender-svc "$sender_pid" "$send_admin"
printf 'sender-svc on 127.0.0.1:%s, receiver-svc on 127.0.0.1:%s and :%s\n' "$send_port" "$transfer_port" "$image_port"

say "Send"
"$latentwire" send --sender "http://127.0.0.1:$send_port" --destination clinic-b --report "$out/results.jsonl" "$samples"

say "Fetch"
pairs=()
exact=0
while IFS=$'\t' read -r id mode path; do
    fetched=$("$latentwire" get --receiver "http://127.0.0.1:$image_port" "$id" -o "$out/received")
    name=${path#"$samples"/}
    received=$out/received/${name%.*}.${fetched##*.}
    if [ "$mode" = exact ]; then
        cmp -- "$path" "$fetched" || fail "$path was sent exact and came back changed"
        received=$out/received/$name
        exact=$((exact + 1))
    fi
    mkdir -p -- "$(dirname "$received")"
    mv -- "$fetched" "$received"
    pairs+=("$path=$received")
done < <(python3 -c '
import json, sys
for line in open(sys.argv[1], encoding="utf-8"):
    image = json.loads(line)
    print(image["transfer_id"], image["mode"], image["path"], sep="\t")' "$out/results.jsonl")
sent=$(find "$samples" -type f \( -name '*.png' -o -name '*.jpg' -o -name '*.tiff' -o -name '*.dcm' \) | wc -l)
[ "${#pairs[@]}" -eq "$sent" ] || fail "${#pairs[@]} of $sent images arrived"
printf '%s images in %s, %s of them bit for bit\n' "${#pairs[@]}" "$out/received" "$exact"

# research PICTURE FLAG...: sends one picture once more with these flags and fetches it; `fetched` is where it lies.
research() {
    local path=$1 id
    shift
    "$latentwire" send --sender "http://127.0.0.1:$send_port" --destination clinic-b --report "$out/last.jsonl" "$path" "$@"
    id=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1], encoding="utf-8"))["transfer_id"])' "$out/last.jsonl")
    cat "$out/last.jsonl" >>"$out/research.jsonl"
    rm -- "$out/last.jsonl"
    fetched=$("$latentwire" get --receiver "http://127.0.0.1:$image_port" "$id" -o "$out/research")
    pairs+=("$path=$fetched")
}

say "What serves research: below the chaos cipher, row by row, and paper B's way (hd512 below the chaos cipher, marked)"
mkdir -p -- "$out/research"
chest=chest_xray/test/hannover_1890031531
research "$samples/$chest.jpg" --inner chaos4
cmp -- "$fetched" "$out/received/$chest.${fetched##*.}" || fail "below the chaos cipher another picture arrived"
research "$samples/fundus/test/chase_2846f819cd.jpg" --segment row
research "$samples/brain_mri/test/sartaj_0908d1a91a.jpg" --model hd512 --below-floor send-marked --inner chaos4
python3 -c '
import json, sys
mark = json.loads(open(sys.argv[1], encoding="utf-8").readlines()[-1])["mark"]
sys.exit(0 if mark else "it came without a mark")' "$out/research.jsonl" || fail "what hd512 made must be marked"
"$latentwire" contact-sheet -o "$out/contact-sheet.png" --pairs "${pairs[@]}"

say "Stop"
stop sender-svc "$sender_pid"
sender_pid=
stop receiver-svc "$receiver_pid"
receiver_pid=

printf '\nEvery image arrived. Look at %s/contact-sheet.png and %s/received.\n' "$out" "$out"
