#!/bin/sh
# Makes a host of the farm after scripts/install.sh: the account of the daemon, user ids for jobs, folders, settings, services and log
# rotation.
#
#   scripts/setup-host.sh [--prefix P] [--scheduler] [--scheduler-host HOST] [--dry-run]
#
# P: where install.sh put the programs (default /opt/icecream). --scheduler: this host runs the scheduler too.
# HOST: where broadcasts do not reach the scheduler. Needs root; may be run again at any time. Settings: /etc/icecc/icecc.conf.
set -eu
files=$(cd "$(dirname "$0")/service" && pwd)

usage() {
    sed -n 's/^# \{0,1\}//; 2,8p' "$0"
    exit "$1"
}
prefix=/opt/icecream with_scheduler=no host= dry=no
while [ $# -gt 0 ]; do
    case $1 in
        --prefix) prefix=${2?"--prefix wants a folder"}; shift ;;
        --scheduler) with_scheduler=yes ;;
        --scheduler-host) host=${2?"--scheduler-host wants a host"}; shift ;;
        --dry-run) dry=yes ;;
        -h | --help) usage 0 ;;
        *) echo "setup-host.sh: unknown option $1" >&2; usage 2 >&2 ;;
    esac
    shift
done
do_it() { echo "+ $*" >&2; [ $dry = yes ] || "$@"; }
fail() { echo "setup-host.sh: $*" >&2; exit 1; }
case $prefix in /*) ;; *) fail "--prefix wants an absolute folder" ;; esac
[ $dry = yes ] || [ "$(id -u)" = 0 ] || fail "needs root (or --dry-run)"
[ $dry = yes ] || [ -x "$prefix/sbin/iceccd" ] || fail "no $prefix/sbin/iceccd: scripts/install.sh --prefix $prefix"

nologin=$(command -v nologin || echo /usr/sbin/nologin)
getent group icecc >/dev/null || do_it groupadd --system icecc
getent passwd icecc >/dev/null ||
    do_it useradd --system --gid icecc --home-dir /var/cache/icecc --no-create-home --shell "$nologin" icecc
grep -qs '^icecc:' /etc/subuid || do_it "$files/job-ids"
for folder in /var/cache/icecc /var/log/icecc; do
    [ -d "$folder" ] && [ "$(stat -c %U "$folder")" = icecc ] || do_it install -d -o icecc -g icecc -m 0775 "$folder"
done

for log in /var/log/iceccd.log /var/log/icecc_scheduler.log; do
    [ -e $log ] || do_it install -o icecc -g icecc -m 644 /dev/null $log
done

# put FILE TO: writes one of scripts/service if it is another than before.
changed=no
put() {
    text=$(sed "s|@prefix@|$prefix|g" "$files/$1")
    [ "$(cat "$2" 2>/dev/null)" != "$text" ] || return 0
    changed=yes
    echo "+ write $2" >&2
    [ $dry = yes ] || { mkdir -p "$(dirname "$2")" && printf '%s\n' "$text" >"$2"; }
}
[ -e /etc/icecc/icecc.conf ] || put icecc.conf /etc/icecc/icecc.conf
line="ICECC_SCHEDULER_HOST=\"$host\""
if [ -n "$host" ] && ! grep -qsxF "$line" /etc/icecc/icecc.conf; then
    changed=yes
    do_it sed -i "/^ICECC_SCHEDULER_HOST=/d" /etc/icecc/icecc.conf
    echo "+ add $line to /etc/icecc/icecc.conf" >&2
    [ $dry = yes ] || echo "$line" >>/etc/icecc/icecc.conf
fi
[ ! -d /etc/logrotate.d ] || put logrotate /etc/logrotate.d/icecc
services=iceccd
[ $with_scheduler = no ] || services="$services icecc-scheduler"
if command -v systemctl >/dev/null && [ -d /run/systemd/system ] || [ $dry = yes ]; then
    for name in $services; do put $name.service /etc/systemd/system/$name.service; done
    [ $changed = no ] || do_it systemctl daemon-reload
    # Whether a service runs the installed program: after an upgrade the old file goes on running, although it is gone.
    runs_installed() {
        systemctl -q is-active "$1" 2>/dev/null &&
            [ "/proc/$(systemctl show -p MainPID --value "$1")/exe" -ef "$prefix/sbin/$1" ]
    }
    for name in $services; do
        if [ $changed = yes ] || ! runs_installed "$name"; then do_it systemctl enable "$name"; do_it systemctl restart "$name"; fi
    done
else
    echo "no systemd: start by hand:"
    for name in $services; do echo "    $prefix/lib/icecc/service $name start"; done
fi
echo "users put $prefix/bin first in PATH and run make -j20"
