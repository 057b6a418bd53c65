#!/bin/sh
# Makes a host of the farm after scripts/install.sh: the account of the daemon, its folders, and its service.
#
#   scripts/setup-host.sh [--prefix P] [--scheduler] [--scheduler-host HOST] [--dry-run]
#
# P: where install.sh put the programs (default /opt/icecream). --scheduler: this host runs the scheduler too.
# HOST: where broadcasts do not reach the scheduler. Needs root; may be run again at any time.
set -eu

usage() {
    sed -n 's/^# \{0,1\}//; 2,7p' "$0"
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
for folder in /var/cache/icecc /var/log/icecc; do
    [ -d "$folder" ] && [ "$(stat -c %U "$folder")" = icecc ] || do_it install -d -o icecc -g icecc -m 0775 "$folder"
done

# service NAME TEXT: writes a unit if it is another than before, and starts it.
changed=no
service() {
    unit=/etc/systemd/system/$1.service
    if [ "$(cat "$unit" 2>/dev/null)" != "$2" ]; then
        changed=yes
        echo "+ write $unit" >&2
        [ $dry = yes ] || printf '%s\n' "$2" >"$unit"
    fi
}
if command -v systemctl >/dev/null && [ -d /run/systemd/system ] || [ $dry = yes ]; then
    services=iceccd
    service iceccd "[Unit]
Description=icecream compile daemon
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=$prefix/sbin/iceccd${host:+ -s $host} -l /var/log/icecc/iceccd.log
RuntimeDirectory=icecc
Restart=on-failure
KillMode=mixed

[Install]
WantedBy=multi-user.target"
    if [ $with_scheduler = yes ]; then
        services="$services icecc-scheduler"
        service icecc-scheduler "[Unit]
Description=icecream scheduler
After=network-online.target
Wants=network-online.target

[Service]
User=icecc
ExecStart=$prefix/sbin/icecc-scheduler -l /var/log/icecc/scheduler.log
Restart=on-failure

[Install]
WantedBy=multi-user.target"
    fi
    [ $changed = no ] || do_it systemctl daemon-reload
    for name in $services; do
        if [ $changed = yes ] || ! systemctl -q is-active "$name" 2>/dev/null; then do_it systemctl enable "$name"; do_it systemctl restart "$name"; fi
    done
else
    echo "no systemd: start by hand: $prefix/sbin/iceccd -d${host:+ -s $host}"
    [ $with_scheduler = no ] || echo "                          $prefix/sbin/icecc-scheduler -d"
fi
echo "users put $prefix/bin first in PATH and run make -j20"
