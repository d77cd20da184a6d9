#!/usr/bin/env bash
# Prints the manual page of a service: what its --help says, and where its files are.
#
# Usage: deploy/release/service-page.sh PROGRAM-FILE     (sender-svc, receiver-svc or pacs-gateway)
set -euo pipefail
program=$1
name=$(basename "$program")
case $name in
*-svc) role=${name%-svc} ;;
pacs-gateway) role=gateway ;;
*) echo "service-page: $name is no service" >&2 && exit 2 ;;
esac
version=$("$program" --version | cut -d' ' -f2)
help=$("$program" --help | sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\\([.']\\)/\\\\\&\\1/")
what=$("$program" --help | head -n 1)
month=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%d)
cat <<PAGE
.TH ${name^^} 1 "$month" "Latentwire $version" "User Commands"
.SH NAME
${name/-/\\-} \\- ${what%.}
.SH SYNOPSIS
.B ${name/-/\\-}
[\\fIOPTION\\fR]...
.SH DESCRIPTION
As systemd runs it, every setting stands in /etc/latentwire/$role.env, and the unit is
.BR latentwire\\-$role.service .
.nf

$help
.fi
.SH EXIT STATUS
0 after SIGTERM or SIGINT, when what was under way has been finished; 1 where a setting, key, port or model is not as it must be (one line
on standard error says what to do), or where work was cut off at the end of \\-\\-drain\\-timeout; 2 where the command line is wrong.
.SH FILES
.TP
.I /etc/latentwire/$role.env
Settings of the unit.
PAGE
file() {
    printf '.TP\n.I %s\n%s\n' "${1//-/\\-}" "$2"
}
case $role in
sender)
    file /etc/latentwire/sender.key "Its secret key."
    file /etc/latentwire/destinations.toml "Where images may go."
    ;;
receiver)
    file /etc/latentwire/receiver.key "Its secret key."
    file /etc/latentwire/storage.key "The key that received images are kept under."
    file /etc/latentwire/trust.toml "Whose images are taken."
    file /var/lib/latentwire-receiver "Received images, sealed."
    ;;
gateway)
    file /var/lib/latentwire-gateway "The secret that transfer ids are derived with; no images."
    ;;
esac
printf '.SH SEE ALSO\n.BR latentwire (1),\n/usr/share/doc/latentwire/\n'
