#!/bin/sh
# Copies what a receiver holds into FOLDER, while it runs; a second run into the same folder copies what is new.
#
#   /usr/lib/latentwire/backup FOLDER
#
#   FOLDER/catalogue.sqlite    the catalogue as it stood at one moment
#   FOLDER/objects/            the sealed images that it names, and perhaps some newer ones
#
# The key that opens them is NOT copied: keep /etc/latentwire/storage.key once, apart from the backups. Without
# it a backup is of no use to anyone; with it, everything in it can be read. Needs root and sqlite3.
set -eu
umask 077
user=latentwire-receiver
data=${LATENTWIRE_DATA:-/var/lib/latentwire-receiver}

fail() {
    echo "backup: $*" >&2
    exit 1
}

[ $# -eq 1 ] || fail "usage: backup FOLDER"
[ "$(id -u)" -eq 0 ] || fail "run this as root"
command -v sqlite3 >/dev/null || fail "sqlite3 is not installed (apt-get install sqlite3)"
[ -f "$data/catalogue.sqlite" ] || fail "$data holds no catalogue: is this the receiver's machine?"
mkdir -p -- "$1/objects"
backup=$(cd -- "$1" && pwd)

# One at a time; the lock goes with this process.
exec 9>"$backup/.lock"
flock --nonblock 9 || fail "another backup writes to $backup"

# SQLite's own online backup, as the service's user, so that no file of the live catalogue comes to belong to root.
copying=$(mktemp -d -- "${TMPDIR:-/tmp}/latentwire-backup.XXXXXX")
trap 'rm -rf -- "$copying"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chown "$user" "$copying"
runuser -u "$user" -- sqlite3 -bail "$data/catalogue.sqlite" '.timeout 60000' ".backup '$copying/catalogue.sqlite'" ||
    fail "the catalogue could not be copied"
[ "$(sqlite3 -readonly "$copying/catalogue.sqlite" 'PRAGMA integrity_check')" = ok ] || fail "the catalogue's copy is damaged"
named=$(sqlite3 -readonly "$copying/catalogue.sqlite" 'SELECT count(*) FROM images WHERE wrapped_key IS NOT NULL')

# The catalogue first: an object is on disk before its row, so every object that this copy names is there to be copied. Objects
# never change once they are written; what has a name in the backup already is whole, as each arrives by a rename.
(cd -- "$data/objects" && find . -type f -name '*.lwo') | while IFS= read -r object; do
    [ -e "$backup/objects/$object" ] && continue
    mkdir -p -- "$backup/objects/${object%/*}"
    if cp -p -- "$data/objects/$object" "$backup/objects/$object.new" 2>/dev/null; then
        mv -- "$backup/objects/$object.new" "$backup/objects/$object"
    else
        rm -f -- "$backup/objects/$object.new"
        # Deleted since the list was made, or the disk is full.
        [ ! -e "$data/objects/$object" ] || fail "$object could not be copied: is $backup full?"
    fi
done
# What was deleted at the receiver goes here too. Its key is gone from the new catalogue in any case.
(cd -- "$backup/objects" && find . -type f) | while IFS= read -r object; do
    [ -e "$data/objects/$object" ] || rm -f -- "$backup/objects/$object"
done
chown root:root "$copying/catalogue.sqlite"
sync
cp -- "$copying/catalogue.sqlite" "$backup/catalogue.sqlite.new"
mv -- "$backup/catalogue.sqlite.new" "$backup/catalogue.sqlite"
sync

held=$(find "$backup/objects" -type f -name '*.lwo' | wc -l)
echo "backup: $named images named, $held sealed objects held in $backup"
