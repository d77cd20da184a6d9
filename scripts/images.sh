#!/usr/bin/env bash
# Builds the container images latentwire/sender, latentwire/receiver and latentwire/tools.
#
#   scripts/images.sh                       with an image registry where one answers (cargo runs in the image), else offline
#   scripts/images.sh --offline             programs built here, base image by debootstrap: no registry is asked
#   scripts/images.sh --profile dev|ci      cargo profile of the programs built here (default release)
#   scripts/images.sh --bin FOLDER          offline, programs out of FOLDER as they are: nothing is compiled
#   scripts/images.sh --tag TAG             TAG instead of the version
#
# The offline way needs this machine to be Debian 12, or to have an older glibc: the programs run on Debian 12's in the image.
# Ends with 75 where there is no Docker engine, or no base image can be had.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=release
offline=
bin=
tag=
while [ $# -gt 0 ]; do
    case $1 in
    --offline) offline=yes ;;
    --profile) profile=${2:?--profile wants dev, ci or release} && shift ;;
    --bin) bin=${2:?--bin wants a folder} offline=yes && shift ;;
    --tag) tag=${2:?--tag wants a name} && shift ;;
    *) printf 'images: unknown argument %s; see the head of scripts/images.sh\n' "$1" >&2 && exit 2 ;;
    esac
    shift
done

docker version >/dev/null 2>&1 || {
    printf 'images: no Docker engine answers\n' >&2
    exit 75
}
registry_base=debian:bookworm-slim
if [ -z "$offline" ] && ! docker image inspect "$registry_base" >/dev/null 2>&1 &&
    ! timeout 60 docker pull --quiet "$registry_base" >/dev/null 2>&1; then
    printf 'images: %s cannot be pulled: building without a registry\n' "$registry_base" >&2
    offline=yes
fi

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
tag=${tag:-$version}
scripts/fetch-onnxruntime.sh
mkdir -p prebuilt
scripts/sbom.py --output prebuilt/sbom.cdx.json
arguments=(
    --build-arg "VERSION=$version"
    --build-arg "SBOM_SHA256=$(sha256sum prebuilt/sbom.cdx.json | cut -d' ' -f1)"
)
if revision=$(git rev-parse HEAD 2>/dev/null); then
    git diff --quiet HEAD 2>/dev/null || revision=$revision-modified
    arguments+=(--build-arg "REVISION=$revision" --build-arg "CREATED=$(git log -1 --format=%cI)")
fi
origin=$(git config --get remote.origin.url 2>/dev/null || true)
case $origin in
https://*@*) ;; # may carry a credential
https://*) arguments+=(--build-arg "SOURCE=$origin") ;;
esac

if [ -n "$offline" ]; then
    scripts/base-image.sh local/bookworm
    arguments+=(--build-arg BUILD_BASE=local/bookworm --build-arg RUNTIME_BASE=local/bookworm)
    if [ -z "$bin" ]; then
        cargo build --quiet --locked --profile "$profile" -p sender-svc -p receiver-svc -p latentwire-cli
        bin=${CARGO_TARGET_DIR:-target}/$([ "$profile" = dev ] && echo debug || echo "$profile")
    fi
    mkdir -p prebuilt/bin prebuilt/lib
    for program in sender-svc receiver-svc latentwire; do
        # Anew and renamed: the build may be reading the one before.
        strip -o "prebuilt/bin/$program.new" "$bin/$program"
        mv -f -- "prebuilt/bin/$program.new" "prebuilt/bin/$program"
    done
    cp -u .onnxruntime/libonnxruntime.so.* .onnxruntime/LICENSE .onnxruntime/ThirdPartyNotices.txt prebuilt/lib/
fi

# Compose's own build would do; this one also runs where compose is not installed, and says what it does in few words.
for target in sender receiver tools; do
    log=$(mktemp)
    if ! docker build --file deploy/Dockerfile --target "$target" --tag "latentwire/$target:$tag" "${arguments[@]}" . >"$log" 2>&1; then
        cat "$log" >&2
        rm -f -- "$log"
        printf 'images: latentwire/%s could not be built\n' "$target" >&2
        exit 1
    fi
    rm -f -- "$log"
    printf 'latentwire/%s:%s\n' "$target" "$tag"
done

# What the tags pointed to before, and where nothing was compiled in it, the build stage.
docker image prune --force --filter label=latentwire.sbom.path >/dev/null
[ -z "$offline" ] || docker image prune --force --filter label=latentwire.stage=build >/dev/null
