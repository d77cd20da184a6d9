#!/bin/sh
# Brings ONNX Runtime's library from its PyPI wheel into <checkout>/.onnxruntime/:
#
#   libonnxruntime.so.1.31.1   the library, loaded at run time by latentwire-inference
#   LICENSE                    MIT
#   ThirdPartyNotices.txt      to be shipped with the library
#
# Needs python3 with pip; no virtual environment. The wheel and the library are checked against the SHA-256 sums below,
# and nothing is put in place before both are right. Does nothing when the right library is already there.
#
# Usage: scripts/fetch-onnxruntime.sh [FOLDER]     (FOLDER instead of <checkout>/.onnxruntime)
set -eu

version=1.31.1
library=libonnxruntime.so.$version

fail() {
    echo "fetch-onnxruntime: $*" >&2
    exit 1
}

machine=$(uname -s)-$(uname -m)
case $machine in
Linux-x86_64)
    platform=manylinux_2_28_x86_64
    wheel_sha256=5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f
    library_sha256=fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3
    ;;
Linux-aarch64)
    platform=manylinux_2_28_aarch64
    wheel_sha256=da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3
    library_sha256=8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467
    ;;
*)
    fail "no ONNX Runtime $version is pinned for $machine; install it yourself and set ORT_DYLIB_PATH to the library file"
    ;;
esac

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
folder=${1:-$checkout/.onnxruntime}

# is FILE SHA256: whether FILE exists and has that sum.
is() {
    [ -f "$1" ] && [ "$(sha256sum -- "$1" | cut -d' ' -f1)" = "$2" ]
}

if is "$folder/$library" "$library_sha256" && [ -f "$folder/LICENSE" ] && [ -f "$folder/ThirdPartyNotices.txt" ]; then
    exit 0
fi

python3=$(command -v python3) || fail "python3 is not installed; install it with its pip (Debian: apt-get install python3-pip)"
"$python3" -m pip --version >/dev/null 2>&1 ||
    fail "$python3 has no pip; install it (Debian: apt-get install python3-pip)"

mkdir -p -- "$folder"
work=$(mktemp -d -- "$folder/.fetch.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

echo "fetch-onnxruntime: ONNX Runtime $version ($platform) -> $folder" >&2
# The tags are pinned so that every Python, whatever its own version, takes the very same wheel.
PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 "$python3" -m pip download --quiet --no-deps \
    --only-binary=:all: --implementation cp --python-version 311 --abi cp311 --platform "$platform" \
    --dest "$work" "onnxruntime==$version" ||
    fail "pip could not download onnxruntime $version; check the network and pip's index settings (pip config list)"

wheel=$(find "$work" -name '*.whl')
is "$wheel" "$wheel_sha256" ||
    fail "the downloaded wheel is not the pinned one (expected SHA-256 $wheel_sha256); nothing was installed"

"$python3" - "$wheel" "$work" "$library" <<'PYTHON' || fail "the wheel could not be unpacked; nothing was installed"
import pathlib, shutil, sys, zipfile

wheel, work, library = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for member in (f"onnxruntime/capi/{library}", "onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"):
        with archive.open(member) as source, open(pathlib.Path(work) / pathlib.Path(member).name, "wb") as target:
            shutil.copyfileobj(source, target)
PYTHON
is "$work/$library" "$library_sha256" ||
    fail "the unpacked library is not the pinned one (expected SHA-256 $library_sha256); nothing was installed"

# Renames within one folder are atomic; the library goes last, so that whoever sees it sees all.
mv -f -- "$work/LICENSE" "$work/ThirdPartyNotices.txt" "$folder/"
mv -f -- "$work/$library" "$folder/$library"
