#!/usr/bin/env bash
# Each fuzz target, or the one named, for a set time: SECONDS_EACH=60 scripts/fuzz.sh [TARGET].
# With a nightly toolchain libFuzzer under AddressSanitizer (cargo-fuzz, built once into .tools/), growing fuzz/work/TARGET from
# fuzz/corpus/TARGET; without, a mutation of the corpus that is blind to coverage. What fails stays in fuzz/work/TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-60}
version=0.13.2
tool=$PWD/.tools/cargo-fuzz-$version/bin/cargo-fuzz
targets=${1:-$(ls fuzz/corpus)}

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "no nightly toolchain: mutation without coverage" >&2
    cargo build --quiet --locked --profile ci -p latentwire-fuzz --example mutate
    for target in $targets; do "${CARGO_TARGET_DIR:-target}/ci/examples/mutate" "$target" "$seconds"; done
    exit
fi
[ -x "$tool" ] || cargo install --quiet --locked --root ".tools/cargo-fuzz-$version" cargo-fuzz --version "$version"
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
# The same versions as the programs'. Not below fuzz/: what a build writes is no source of ours.
cp Cargo.lock fuzz/libfuzzer/Cargo.lock
output=$PWD/target/libfuzzer
(cd fuzz/libfuzzer && PATH="$(dirname "$tool"):$PATH" \
    cargo +nightly fuzz build --fuzz-dir . --target-dir "$output" --release latentwire)
program=$output/$host/release/latentwire
status=0
for target in $targets; do
    mkdir -p "fuzz/work/$target"
    echo "== $target, $seconds s"
    FUZZ_TARGET=$target nice "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 \
        -artifact_prefix="fuzz/work/$target/failing-" "fuzz/work/$target" "fuzz/corpus/$target" >"fuzz/work/$target.log" 2>&1 || status=1
    grep -E '^#[0-9]+.*DONE|stat::number_of_executed_units|SUMMARY|panicked|Test unit written' "fuzz/work/$target.log" | tail -5 || true
done
exit "$status"
