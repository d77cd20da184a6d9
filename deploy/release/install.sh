#!/bin/sh
# Installs what lies beside this script on a Linux machine with systemd (as root), where no .deb can be used.
#
#   ./install.sh              programs to /usr/bin, library, models, documents, units; settings to /etc/latentwire
#   ./install.sh --uninstall  takes all that away again; settings, keys and received images stay
#
# Settings that are there already are not overwritten. Nothing is started. Needs glibc 2.34 or later and libstdc++.
set -eu
cd "$(dirname "$0")"
units=/etc/systemd/system

if [ "$(id -u)" -ne 0 ]; then
    echo "install: run this as root" >&2
    exit 1
fi
case ${1:-} in
'')
    ./bin/latentwire --version >/dev/null ||
        { echo "install: the programs do not run here; is glibc older than 2.34?" >&2; exit 1; }
    for folder in bin lib share; do
        mkdir -p "/usr/$folder"
        cp -R "$folder/." "/usr/$folder/"
    done
    mkdir -p /etc/latentwire "$units" /usr/lib/sysusers.d
    for file in etc/*; do
        [ -e "/etc/latentwire/${file##*/}" ] || cp "$file" /etc/latentwire/
    done
    cp systemd/*.service "$units/"
    cp systemd/sysusers.conf /usr/lib/sysusers.d/latentwire.conf
    systemd-sysusers latentwire.conf
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
    echo "installed; nothing runs yet. Next: /usr/share/doc/latentwire/INSTALL.md"
    ;;
--uninstall)
    if [ -d /run/systemd/system ]; then
        systemctl disable --now latentwire-gateway latentwire-sender latentwire-receiver 2>/dev/null || true
    fi
    find bin lib share -type f | while read -r file; do
        rm -f "/usr/$file"
    done
    rm -rf /usr/lib/latentwire /usr/share/latentwire /usr/share/doc/latentwire /usr/lib/sysusers.d/latentwire.conf
    rm -f "$units/latentwire-sender.service" "$units/latentwire-receiver.service" "$units/latentwire-gateway.service"
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
    echo "uninstalled; /etc/latentwire and /var/lib/latentwire-* stay"
    ;;
*)
    echo "usage: install.sh [--uninstall]" >&2
    exit 2
    ;;
esac
