#!/usr/bin/env bash
# Makes the tarball and the .deb out of built binaries. The same inputs give the same bytes.
#
#   deploy/release/package.sh --binaries FOLDER --output FOLDER [--fast]
#
#   OUTPUT/latentwire-VERSION-x86_64-linux.tar.gz    unpack anywhere and run, or run its install.sh
#   OUTPUT/latentwire_VERSION_amd64.deb              Debian 12 or later
#   OUTPUT/SHA256SUMS
#
# --binaries   where the programs of binaries.list lie (target/release, target/debug); they are stripped
# --fast       gzip instead of xz inside the .deb, for tests
#
# Time stamps are SOURCE_DATE_EPOCH: as given, else the last commit's. Needs cargo, python3 and Debian's dpkg-dev, binutils.
set -euo pipefail
here=$(cd -- "$(dirname -- "$0")" && pwd)
checkout=$(cd -- "$here/../.." && pwd)
export LC_ALL=C TZ=UTC

fail() {
    printf 'package: %s\n' "$1" >&2
    exit 1
}

binaries= output= compression=(-Zxz)
while [ $# -gt 0 ]; do
    case $1 in
    --binaries) binaries=$(cd -- "$2" && pwd) && shift 2 ;;
    --output) mkdir -p -- "$2" && output=$(cd -- "$2" && pwd) && shift 2 ;;
    --fast) compression=(-Zgzip -z1) && shift ;;
    *) fail "unknown argument $1; see the head of this script" ;;
    esac
done
[ -n "$binaries" ] && [ -n "$output" ] || fail "--binaries and --output are needed; see the head of this script"
[ "$(uname -m)" = x86_64 ] || fail "packages are made for x86_64 on x86_64"
for tool in dpkg-deb:dpkg dpkg-shlibdeps:dpkg-dev strip:binutils cargo:rustup python3:python3; do
    command -v "${tool%%:*}" >/dev/null || fail "${tool%%:*} is not installed (Debian: apt-get install ${tool##*:})"
done

cd "$checkout"
mapfile -t programs < <(awk '!/^#/ { print $1 }' "$here/binaries.list")
mapfile -t crates < <(awk '!/^#/ { print $2 }' "$here/binaries.list")
version=$(cargo metadata --locked --no-deps --format-version 1 |
    python3 -c 'import json, sys; print(next(p["version"] for p in json.load(sys.stdin)["packages"] if p["name"] == "latentwire-cli"))')
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null)} || true
[ -n "$SOURCE_DATE_EPOCH" ] || fail "no commit to take the time from: set SOURCE_DATE_EPOCH"
export SOURCE_DATE_EPOCH
library=$(find .onnxruntime -maxdepth 1 -name 'libonnxruntime.so.*' | sort | tail -n 1)
[ -n "$library" ] || fail "ONNX Runtime's library is not there: run scripts/fetch-onnxruntime.sh"
for program in "${programs[@]}"; do
    [ -x "$binaries/$program" ] || fail "$binaries/$program is not there: run deploy/release/build.sh"
done

work=$(mktemp -d -- "${TMPDIR:-/tmp}/latentwire-package.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
umask 022

# What both packages hold.
lay_out() {
    local prefix=$1 program
    local doc=$prefix/share/doc/latentwire
    install -d "$prefix/bin" "$prefix/lib/latentwire" "$prefix/share/latentwire" "$doc/onnxruntime" "$doc/examples"
    for program in "${programs[@]}"; do
        strip --strip-all -o "$prefix/bin/$program" "$binaries/$program"
        chmod 755 "$prefix/bin/$program"
    done
    install -m 644 "$library" "$prefix/lib/latentwire/"
    install -m 755 "$here/backup.sh" "$prefix/lib/latentwire/backup"
    install -m 755 "$here/restore.sh" "$prefix/lib/latentwire/restore"
    install -m 644 .onnxruntime/LICENSE .onnxruntime/ThirdPartyNotices.txt "$doc/onnxruntime/"
    cp -R --no-preserve=mode,ownership models "$prefix/share/latentwire/"
    rm -rf -- "$prefix/share/latentwire/models/research" # it serves research, not a hospital
    install -m 644 README.md CHANGELOG.md SECURITY.md docs/*.md "$doc/"
    install -m 644 deploy/two-sites/README.md "$doc/TWO_SITES.md"
    install -m 644 deploy/systemd/encrypted-key.conf "$doc/examples/"
    install -m 644 "$work/THIRD_PARTY_LICENCES.txt" "$work/sbom.cdx.json" "$doc/"
    complete_and_explain "$prefix"
}

# Manual pages and shell completions, by the programs themselves.
complete_and_explain() {
    local prefix=$1 command=$1/bin/latentwire program
    install -d "$prefix/share/man/man1" "$prefix/share/bash-completion/completions" "$prefix/share/zsh/vendor-completions" \
        "$prefix/share/fish/vendor_completions.d"
    "$command" man --output "$prefix/share/man/man1" >/dev/null
    "$command" completions bash >"$prefix/share/bash-completion/completions/latentwire"
    "$command" completions zsh >"$prefix/share/zsh/vendor-completions/_latentwire"
    "$command" completions fish >"$prefix/share/fish/vendor_completions.d/latentwire.fish"
    for program in "${programs[@]}"; do
        [ "$program" != latentwire ] || continue
        env -i SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" PATH="$PATH" "$here/service-page.sh" "$prefix/bin/$program" \
            >"$prefix/share/man/man1/$program.1"
    done
    gzip -9n "$prefix"/share/man/man1/*.1
    chmod 644 "$prefix"/share/man/man1/*.1.gz
}

# as_of FOLDER: every time stamp below it is SOURCE_DATE_EPOCH, every right is that of a released file.
as_of() {
    find "$1" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
}

python3 "$here/licences.py" "${crates[@]}" >"$work/THIRD_PARTY_LICENCES.txt"
python3 scripts/sbom.py -o "$work/sbom.cdx.json" --onnxruntime "$library" --programs "${crates[@]}"

lay_out "$work/both"

# The tarball: one folder that runs where it is unpacked, and what install.sh needs.
name=latentwire-$version-x86_64-linux
install -d "$work/tar/$name"
cp -R "$work/both/." "$work/tar/$name/"
install -m 644 LICENSE LICENSE-APACHE LICENSE-MIT "$work/tar/$name/"
install -m 755 "$here/install.sh" "$work/tar/$name/"
cp -R --no-preserve=mode,ownership "$here/etc" "$work/tar/$name/etc"
install -d "$work/tar/$name/systemd"
install -m 644 deploy/systemd/latentwire-*.service deploy/systemd/sysusers.conf "$work/tar/$name/systemd/"
as_of "$work/tar"
tar --create --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --directory "$work/tar" "$name" | gzip -9n >"$output/$name.tar.gz"

# The .deb.
root=$work/deb
install -d "$root"
mv "$work/both" "$root/usr"
doc=$root/usr/share/doc/latentwire
install -d "$root/etc/latentwire" "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d" "$root/usr/share/lintian/overrides" "$root/DEBIAN"
install -m 644 "$here"/etc/* "$root/etc/latentwire/"
install -m 644 deploy/systemd/latentwire-*.service "$root/usr/lib/systemd/system/"
install -m 644 deploy/systemd/sysusers.conf "$root/usr/lib/sysusers.d/latentwire.conf"
install -m 644 "$here/debian/lintian-overrides" "$root/usr/share/lintian/overrides/latentwire"
install -m 644 "$here/debian/next-steps.txt" "$root/usr/share/latentwire/"
install -m 644 "$here/debian/copyright" "$doc/copyright"
mv "$doc/CHANGELOG.md" "$doc/NEWS.md"
printf 'latentwire (%s) stable; urgency=medium\n\n  * See NEWS.md.gz in this folder.\n\n -- %s  %s\n' "$version" \
    "$(sed -n 's/^Maintainer: //p' "$here/debian/control.in")" "$(date -R -u -d "@$SOURCE_DATE_EPOCH")" >"$doc/changelog"
# As Debian's policy has it: what is long is compressed.
find "$doc" -type f -size +3k ! -name copyright ! -name '*.gz' -exec gzip -9n {} +
[ ! -f "$doc/changelog" ] || gzip -9n "$doc/changelog"

# What the programs and the library link to, with the oldest versions that have the symbols they use.
mkdir -p "$work/shlibs/debian"
printf 'Source: latentwire\nPackage: latentwire\nArchitecture: amd64\n' >"$work/shlibs/debian/control"
elves=()
for program in "${programs[@]}"; do elves+=("-e$root/usr/bin/$program"); done
depends=$(cd "$work/shlibs" && dpkg-shlibdeps --warnings=0 -O "${elves[@]}" "-e$root/usr/lib/latentwire/$(basename "$library")" |
    sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || fail "dpkg-shlibdeps found no libraries"
installed_size=$(du -k --apparent-size --summarize "$root" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@DEPENDS@/$depends/" -e "s/@INSTALLED_SIZE@/$installed_size/" \
    "$here/debian/control.in" >"$root/DEBIAN/control"
install -m 755 "$here"/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
(cd "$root" && find etc -type f -printf '/%p\n' | sort) >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
as_of "$root"
dpkg-deb --root-owner-group "${compression[@]}" --build "$root" "$output/latentwire_${version}_amd64.deb" >/dev/null

cd "$output"
sha256sum "$name.tar.gz" "latentwire_${version}_amd64.deb" | tee SHA256SUMS
