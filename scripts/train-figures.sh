#!/usr/bin/env bash
# Measures a trained model on the test pictures of its data through the product, and puts the figures on its card.
#
#   scripts/train-figures.sh MODEL DATA MODELS WORK
#
# MODEL is an id of training/configs or the path of a .toml file, DATA holds <folder>/test/. LATENTWIRE names a built
# `latentwire` to use instead of building one. A net of recipe "printed" is measured on the test pictures scaled to its one size.
set -euo pipefail
cd "$(dirname "$0")/.."
model=$1 data=$2 models=$3 work=$4
if [ -z "$data" ]; then
    echo "train-figures: DATA= is missing: the folder that holds <folder>/test/ of pictures that training never saw" >&2
    exit 2
fi

python() { PYTHONPATH=training training/.venv/bin/python "$@"; }

named=$(python -c '
import sys
from latentwire_training.config import find, read
from latentwire_training.hd512_config import is_hd512
path = find(sys.argv[1])
if is_hd512(path):
    sys.exit("train-figures: does not apply to hd512: the end of its training (make train) measures the test pictures of DATA and puts them on the card")
config = read(path)
side = config.schedule.side if config.schedule.recipe == "printed" else 0
print(config.id, "" if config.purpose == "product" else "--research-models", side, *config.data.folders, sep="\n")' "$model")
mapfile -t folders <<<"$named"
id=${folders[0]}
research=${folders[1]}
side=${folders[2]}
folders=("${folders[@]:3}")
tests=()
for folder in "${folders[@]}"; do
    if [ -d "$data/$folder/test" ]; then
        tests+=("$data/$folder/test")
    fi
done
if [ ${#tests[@]} -eq 0 ]; then
    echo "train-figures: no folder test/ below $data for $id (${folders[*]}): put pictures there that training never saw" >&2
    exit 2
fi
if [ -f "$models/$id/encoder.onnx" ] && [ ! -f "$models/$id/manifest.toml" ]; then
    echo "train-figures: $models/$id holds the two halves of a net and no model that can be served: make evaluate measures those" >&2
    exit 2
fi
if [ ! -f "$models/$id/manifest.toml" ]; then
    echo "train-figures: $models/$id is not a model folder: run make train MODEL=$model first" >&2
    exit 2
fi
if [ -z "${LATENTWIRE:-}" ]; then
    cargo build --quiet --profile ci --locked -p latentwire-cli
    LATENTWIRE=target/ci/latentwire
fi
mkdir -p "$work"
if [ "$side" -gt 0 ]; then
    small=$work/$id/test-$side
    python -c '
import sys
from pathlib import Path
from latentwire_training.pictures import write_scaled
write_scaled([Path(folder) for folder in sys.argv[3:]], Path(sys.argv[1]), int(sys.argv[2]))' "$small" "$side" "${tests[@]}"
    tests=("$small")
fi
lines=$work/$id-inspect.jsonl
"$LATENTWIRE" inspect --json --models "$models" ${research:+"$research"} --model "$id" --below-floor send-marked "${tests[@]}" >"$lines"
processor=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)
python -m latentwire_training.card "$models/$id" --inspect "$lines" --machine "${processor:-$(uname -m)}"
sed -n '/^## Figures/,/^## Training/p' "$models/$id/CARD.md" | sed '$d'
