#!/bin/sh
# Shows that certified decoders give the same bits on processors that differ: every models/rd-* and the codec's small test model, on
# COUNT latents each (of samples/, of random numbers, and the largest there are), natively, and under qemu as x86-64 Haswell (AVX2)
# and Nehalem (SSE4.2) and as AArch64 Cortex-A72 (NEON) and Neoverse N1 (dot product); on one thread and two; on two versions of
# ONNX Runtime. Fails where one output differs. Not all of it fits continuous integration; common/inference/tests/bit_exact.rs is
# the small form.
#
# Usage: scripts/bit-identity.sh [COUNT [TABLE.md]]     COUNT is 340 unless given; the table goes to TABLE.md, if given
#
# Takes a quarter of an hour on two idle processors.
#
# Needs Linux on x86-64, Python 3.11 with pip, and Debian's apt-get and dpkg-deb for the emulator and the AArch64 Python; nothing is
# installed: all of it lies in .tools/bit-identity. Without apt-get, or where a package cannot be had, that part is left out, and the
# last lines say so. SECONDS_EACH bounds a single run.
set -eu

count=${1:-340}
table=${2:-}
seconds=${SECONDS_EACH:-3600}
root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/.tools/bit-identity
scripts=$root/scripts/bit_identity
python=${PYTHON:-python3.11}
versions="1.31.1 1.22.1"
left_out=

fail() {
    echo "bit-identity: $*" >&2
    exit 1
}

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || fail "needs Linux on x86-64"
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || fail "needs Python 3.11 (set PYTHON)"
"$python" -c 'import sys; print(sys.executable)' > /dev/null
python=$("$python" -c 'import sys; print(sys.executable)')
mkdir -p "$tools"

# wheels MACHINE FOLDER REQUIREMENT...: wheels for Python 3.11 from PyPI, checked against scripts/bit_identity/wheels.txt, unpacked.
wheels() {
    machine=$1 folder=$2
    shift 2
    [ -e "$folder/ready" ] && return 0
    rm -rf "$folder"
    mkdir -p "$folder/wheels"
    for wanted in "$@"; do
        grep -h "^$wanted " "$scripts/wheels.txt" > "$folder/wanted.txt"
        "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
            --python-version 3.11 --platform "manylinux_2_28_$machine" --platform "manylinux_2_27_$machine" \
            --dest "$folder/wheels" -r "$folder/wanted.txt"
    done
    for wheel in "$folder"/wheels/*.whl; do
        "$python" -m zipfile -e "$wheel" "$folder"
    done
    touch "$folder/ready"
}

# packages SUITE ARCHITECTURE FOLDER NAME...: unpacks Debian packages, checked by apt, without installing any.
packages() {
    suite=$1 architecture=$2 folder=$3
    shift 3
    [ -e "$folder/ready" ] && return 0
    rm -rf "$folder"
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/apt/parts" "$folder/debs"
    touch "$folder/apt/status"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian %s main\n' "$suite" > "$folder/apt/sources.list"
    apt="-qq -o APT::Architecture=$architecture -o APT::Architectures=$architecture -o Dir::Etc::sourcelist=$folder/apt/sources.list
        -o Dir::Etc::sourceparts=$folder/apt/parts -o Dir::State=$folder/apt -o Dir::State::Lists=$folder/apt/lists
        -o Dir::State::status=$folder/apt/status -o Dir::Cache=$folder/apt/cache -o APT::Sandbox::User=root"
    # shellcheck disable=SC2086 # options, one a word
    apt-get $apt update > /dev/null || return 1
    # shellcheck disable=SC2086
    (cd "$folder/debs" && apt-get $apt download "$@" > /dev/null) || return 1
    for package in "$folder"/debs/*.deb; do
        dpkg-deb -x "$package" "$folder" || return 1
    done
    touch "$folder/ready"
}

for version in $versions; do
    wheels x86_64 "$tools/x86_64-$version" "onnxruntime==$version" numpy==2.4.6 pillow==13.0.0
done

qemu=$tools/qemu
if command -v apt-get > /dev/null && packages trixie amd64 "$qemu" qemu-user; then
    emulated="Haswell Nehalem"
    sysroot=$tools/aarch64
    if packages bookworm arm64 "$sysroot" libc6 libstdc++6 libgcc-s1 python3.11-minimal libpython3.11-minimal \
        libpython3.11-stdlib zlib1g libexpat1 libffi8 libcrypt1 libuuid1 libbz2-1.0 liblzma5 libssl3; then
        for version in $versions; do
            wheels aarch64 "$tools/aarch64-$version" "onnxruntime==$version" numpy==2.4.6
        done
        emulated="$emulated cortex-a72 neoverse-n1"
    else
        left_out="AArch64 (its packages cannot be had)"
    fi
else
    emulated=
    left_out="all emulated processors (qemu-user cannot be had)"
fi

# decode PROCESSOR VERSION THREADS DECODER INPUTS
decode() {
    case $1 in
    native) set -- env "PYTHONPATH=$tools/x86_64-$2" "$python" "$scripts/decode.py" "$4" "$5" "$3" ;;
    Haswell | Nehalem)
        set -- env "PYTHONPATH=$tools/x86_64-$2" "$qemu/usr/bin/qemu-x86_64" -cpu "$1" "$python" "$scripts/decode.py" "$4" "$5" "$3"
        ;;
    *)
        set -- "$qemu/usr/bin/qemu-aarch64" -cpu "$1" -L "$sysroot" -E "PYTHONPATH=$tools/aarch64-$2" -E "PYTHONHOME=$sysroot/usr" \
            "$sysroot/usr/bin/python3.11" "$scripts/decode.py" "$4" "$5" "$3"
        ;;
    esac
    timeout "$seconds" "$@"
}

results=$tools/results
rm -rf "$results"
for model in "$root"/models/rd-* "$root/common/codec/tests/models/levels/levels-chest"; do
    [ -e "$model/decoder.onnx" ] || continue
    name=$(basename "$model")
    mkdir -p "$results/$name"
    inputs=$tools/$name.npz
    PYTHONPATH=$tools/x86_64-1.31.1 "$python" "$scripts/inputs.py" "$model" "$root/samples" "$count" "$inputs"
    for processor in native $emulated; do
        for threads in 1 2; do
            for version in $versions; do
                run=$results/$name/$version,$processor,$threads.json
                decode "$processor" "$version" "$threads" "$model/decoder.onnx" "$inputs" > "$run" 2> "$run.said" &
            done
            wait
            for version in $versions; do
                run=$results/$name/$version,$processor,$threads.json
                if [ ! -s "$run" ]; then
                    tail -3 "$run.said" >&2
                    fail "$name does not run: ONNX Runtime $version, $processor, $threads threads"
                fi
            done
        done
        echo "$name: $processor done"
    done
done

[ -z "$left_out" ] || echo "bit-identity: left out: $left_out"
# shellcheck disable=SC2086 # no table is no argument
"$python" "$scripts/compare.py" "$results" $table
