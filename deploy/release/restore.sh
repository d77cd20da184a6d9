#!/bin/sh
# Gives a receiver back what a backup holds. The receiver must be stopped and its data folder empty.
#
#   /usr/lib/latentwire/restore FOLDER STORAGE-KEY-FILE
#
# What came in after the backup was made is not in it: its senders hold their receipts and will not send it again by
# themselves. docs: /usr/share/doc/latentwire/TWO_SITES.md.gz, section "Backup and restore". Needs root and sqlite3.
set -eu
umask 077
user=latentwire-receiver
data=${LATENTWIRE_DATA:-/var/lib/latentwire-receiver}
key=${LATENTWIRE_STORAGE_KEY:-/etc/latentwire/storage.key}

fail() {
    echo "restore: $*" >&2
    exit 1
}

[ $# -eq 2 ] || fail "usage: restore FOLDER STORAGE-KEY-FILE"
[ "$(id -u)" -eq 0 ] || fail "run this as root"
command -v sqlite3 >/dev/null || fail "sqlite3 is not installed (apt-get install sqlite3)"
getent passwd "$user" >/dev/null || fail "there is no user $user: install the package first"
[ -f "$1/catalogue.sqlite" ] || fail "$1 holds no catalogue.sqlite: name the folder that backup wrote"
[ -s "$2" ] || fail "$2 is not there: without the storage key nothing in the backup can be read"
[ ! -e "$data/catalogue.sqlite" ] || fail "$data holds images: move it away first (mv $data $data.old)"
if [ -e "$key" ] && ! cmp -s -- "$2" "$key"; then
    fail "$key is another storage key than $2: move it away first"
fi
if [ -d /run/systemd/system ] && systemctl --quiet is-active latentwire-receiver; then
    fail "the receiver runs: systemctl stop latentwire-receiver"
fi
[ "$(sqlite3 -readonly "$1/catalogue.sqlite" 'PRAGMA integrity_check')" = ok ] || fail "the catalogue in $1 is damaged: take an older backup"

install -d -m 700 -- "$data"
cp -R -- "$1/objects" "$data/objects"
[ -e "$key" ] || install -D -m 600 -- "$2" "$key"
# Last, so that a restore that was cut off is not taken for a whole one.
cp -- "$1/catalogue.sqlite" "$data/catalogue.sqlite.new"
chown -R "$user:$user" "$data"
chmod -R u=rwX,go= "$data"
sync
mv -- "$data/catalogue.sqlite.new" "$data/catalogue.sqlite"
sync

lost=$(sqlite3 -readonly "$1/catalogue.sqlite" 'SELECT lower(hex(image_id)) FROM images WHERE wrapped_key IS NOT NULL' |
    while IFS= read -r id; do
        [ -e "$data/objects/$(printf %.2s "$id")/$id.lwo" ] || echo "$id"
    done)
if [ -n "$lost" ]; then
    echo "restore: the catalogue names images that the backup does not hold (deleted while it was made?):" >&2
    echo "$lost" >&2
fi
echo "restore: $(find "$data/objects" -type f -name '*.lwo' | wc -l) sealed objects in $data; now: systemctl start latentwire-receiver"
