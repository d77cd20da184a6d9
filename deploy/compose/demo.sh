#!/bin/bash
# Sends the samples from the sender's side, fetches them on the receiver's side, and draws both side by side:
#
#   /output/received/           the received files, under the names they were sent by
#   /output/results.jsonl       the figures, one JSON object an image
#   /output/contact-sheet.png   original | received | eightfold difference
#
# Ends with 0 only if every image arrived, each exact one bit for bit.
set -euo pipefail

samples=/usr/local/share/latentwire/samples
output=/output

fail() {
    printf 'demo: %s\n' "$1" >&2
    exit 1
}

# field NAME LINE: a string of one JSON object, as latentwire prints it.
field() {
    [[ $2 =~ \"$1\":\"([^\"]*)\" ]] || fail "no $1 in $2"
    printf '%s' "${BASH_REMATCH[1]}"
}

cd "$samples"
rm -rf -- "${output:?}"/*
mkdir -- "$output/received"
latentwire send --sender https://sender:50051 --destination clinic-b --report "$output/results.jsonl" .

arrived=0
exact=0
pairs=()
while IFS= read -r line; do
    id=$(field transfer_id "$line")
    path=$(field path "$line")
    path=${path#./}
    folder=$output/received/$(dirname -- "$path")
    mkdir -p -- "$folder"
    fetched=$(latentwire get --receiver https://receiver:50062 "$id" --output "$folder")
    name=$(basename -- "$path")
    if [ "$(field mode "$line")" = exact ]; then
        cmp -- "$path" "$fetched" || fail "$path was sent exact and came back changed"
        received=$folder/$name
        exact=$((exact + 1))
    else
        received=$folder/${name%.*}.${fetched##*.}
    fi
    mv -- "$fetched" "$received"
    pairs+=("$path=$received")
    arrived=$((arrived + 1))
done <"$output/results.jsonl"

sent=$(find . -type f \( -name '*.png' -o -name '*.jpg' -o -name '*.tiff' -o -name '*.dcm' \) | wc -l)
[ "$arrived" -eq "$sent" ] || fail "$arrived of $sent images arrived"
latentwire contact-sheet --output "$output/contact-sheet.png" --pairs "${pairs[@]}"
printf '\nEvery image arrived: %s of %s, %s of them bit for bit. The contact sheet is in the volume "output".\n' "$arrived" "$sent" "$exact"
