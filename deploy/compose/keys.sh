#!/bin/sh
# Makes what the two sides' administrators would make, and exchanges the public halves: identities, the receiver's trust
# store, the sender's destination; certificates, and who may call. Each side's files lie in a volume of its own, so that
# neither service ever sees the other's secret keys.
#
#   /keys/sender/     sender.key  sender.key.pub  receiver.key.pub  destinations.toml
#   /keys/receiver/   receiver.key  receiver.key.pub  storage.key  sender.key.pub  trust.toml
#   /keys/client/     what stands for the PACS
#   and in each       ca.crt  tls.crt  tls.key, both services' callers.toml
#
# The CA is made for this once: its key is gone when this ends, the certificates hold a year (`down -v` makes all anew).
# What is there stays: a second run changes nothing.
set -eu
umask 077
sender=/keys/sender
receiver=/keys/receiver
client=/keys/client

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
url = "https://receiver:50061"
public_key = "/etc/latentwire/receiver.key.pub"
ca = "/etc/latentwire/ca.crt"
client_certificate = "/etc/latentwire/tls.crt"
client_key = "/etc/latentwire/tls.key"
TOML
fi

# The client's are written last: where they are, all are there.
if [ ! -s "$client/ca.crt" ]; then
    making=$client/making
    rm -rf -- "$making"
    latentwire certs dev --quiet --output "$making" --host sender --host receiver --client demo
    for side in "$sender sender" "$receiver receiver" "$client demo"; do
        folder=${side% *} name=${side#* }
        whole "$folder/tls.crt" <"$making/$name.crt"
        whole "$folder/tls.key" <"$making/$name.key"
    done
    rm -f -- "$sender/callers.toml" "$receiver/callers.toml"
    latentwire callers add "$sender/callers.toml" --quiet --name demo --certificate "$client/tls.crt" \
        --allow send,read-transfers,read-models
    latentwire callers add "$receiver/callers.toml" --quiet --name demo --certificate "$client/tls.crt" --allow list,fetch
    for folder in "$sender" "$receiver" "$client"; do
        whole "$folder/ca.crt" <"$making/ca.crt"
    done
    rm -rf -- "$making"
fi
echo "keys, trust, certificates and callers are in place"
latentwire keys show "$sender/sender.key.pub"
latentwire keys show "$receiver/receiver.key.pub"
