#!/bin/sh
# Makes what the two sides' administrators would make, and exchanges the public halves: identities, the receiver's trust
# store, the sender's destination. Each side's files lie in a volume of its own, so that neither service ever sees the
# other's secret key.
#
#   /keys/sender/     sender.key  sender.key.pub  receiver.key.pub  destinations.toml
#   /keys/receiver/   receiver.key  receiver.key.pub  storage.key  sender.key.pub  trust.toml
#
# What is there stays: a second run changes nothing.
set -eu
umask 077
sender=/keys/sender
receiver=/keys/receiver

# identity ROLE FOLDER: the public half is written last, so without it a run was cut off and nobody trusts the key yet.
identity() {
    if [ ! -s "$2/$1.key.pub" ]; then
        rm -f -- "$2/$1.key" "$2/$1.key.pub"
        latentwire keys generate --role "$1" --output "$2/$1.key"
    fi
}

# whole FILE: writes standard input to FILE, whole or not at all.
whole() {
    cat >"$1.new"
    mv -f -- "$1.new" "$1"
}

identity sender "$sender"
identity receiver "$receiver"
if [ ! -s "$receiver/storage.key" ]; then
    latentwire storage generate --output "$receiver/storage.key"
fi
whole "$sender/receiver.key.pub" <"$receiver/receiver.key.pub"
whole "$receiver/sender.key.pub" <"$sender/sender.key.pub"
if [ ! -s "$receiver/trust.toml" ]; then
    latentwire trust add "$receiver/trust.toml" --name clinic-a --key "$receiver/sender.key.pub" --role sender
fi
if [ ! -s "$sender/destinations.toml" ]; then
    # Paths are those of the sender's container, which mounts its volume there.
    whole "$sender/destinations.toml" <<'TOML'
[[destination]]
name = "clinic-b"
url = "http://receiver:50061"
public_key = "/etc/latentwire/receiver.key.pub"
TOML
fi
echo "keys and trust are in place"
latentwire keys show "$sender/sender.key.pub"
latentwire keys show "$receiver/receiver.key.pub"
