#!/usr/bin/env bash
# Prints the manual page of a service: what its --help says, and where its files are.
#
# Usage: deploy/release/service-page.sh PROGRAM-FILE ROLE     (ROLE: sender or receiver)
set -euo pipefail
program=$1 role=$2
name=$(basename "$program")
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
.TP
.I /etc/latentwire/$role.key
Its secret key.
PAGE
if [ "$role" = receiver ]; then
    printf '.TP\n.I /etc/latentwire/trust.toml\nWhose images are taken.\n.TP\n.I /var/lib/latentwire\\-receiver\nReceived images, sealed.\n'
else
    printf '.TP\n.I /etc/latentwire/destinations.toml\nWhere images may go.\n'
fi
printf '.SH SEE ALSO\n.BR latentwire (1),\n/usr/share/doc/latentwire/\n'
