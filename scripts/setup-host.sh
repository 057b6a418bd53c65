#!/bin/sh
# Makes a host of the farm after scripts/install.sh: the account of the daemon, user ids for jobs, folders, settings, services and log
# rotation.
#
#   scripts/setup-host.sh [--prefix P] [--scheduler] [--scheduler-host HOST] [--netname NAME] [--allow NET,...] [--jobs N]
#                         [--no-remote] [--nice N] [--cache-limit MB] [--dry-run]
#
# P: where install.sh put the programs (default /opt/icecream). --scheduler: this host runs the scheduler too.
# HOST: where broadcasts do not reach the scheduler. NAME: hosts of the same name make a farm. NET: take connections of these networks
# alone (10.0.0.0/8). N jobs at once; --no-remote: none of other hosts; niceness of jobs; megabytes of environments.
# What is not named stays as /etc/icecc/icecc.conf has it. Needs root; may be run again at any time; scripts/uninstall.sh takes all of
# it back. --dry-run: shows what would be done.
set -eu
. "$(dirname "$0")/help.sh"
files=$(cd "$(dirname "$0")/service" && pwd)

prefix=/opt/icecream with_scheduler=no dry=no settings=
# setting KEY VALUE: to be written. What means something to a shell is in none of them.
setting() {
    case $2 in *[!][A-Za-z0-9.:/,_%-]*) wrong "\"$2\" makes no sense for $1" ;; esac
    settings="$settings $1=$2"
}
number() {
    case $2 in *[!0-9]* | '') wrong "\"$2\" is no number" ;; esac
    setting "$1" "$2"
}
while [ $# -gt 0 ]; do
    case $1 in
        --prefix) wants "$1" "a folder" $#; prefix=$2; shift ;;
        --scheduler) with_scheduler=yes ;;
        --scheduler-host) wants "$1" "a host" $#; setting ICECC_SCHEDULER_HOST "$2"; shift ;;
        --netname) wants "$1" "a name" $#; setting ICECC_NETNAME "$2"; shift ;;
        --allow) wants "$1" "networks" $#; setting ICECC_ALLOW_NETS "$2"; shift ;;
        --jobs) wants "$1" "a number" $#; number ICECC_MAX_JOBS "$2"; shift ;;
        --no-remote) setting ICECC_ALLOW_REMOTE no ;;
        --nice) wants "$1" "a number" $#; number ICECC_NICE_LEVEL "$2"; shift ;;
        --cache-limit) wants "$1" "megabytes" $#; number ICECC_CACHE_LIMIT "$2"; shift ;;
        --dry-run) dry=yes ;;
        -h | --help) usage ;;
        *) wrong "unknown option $1" ;;
    esac
    shift
done
fail() { echo "setup-host.sh: $*" >&2; exit 1; }
case $prefix in /*) ;; *) wrong "--prefix wants an absolute folder" ;; esac
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
# set_line LINE: KEY="VALUE" in place of another value.
set_line() {
    ! grep -qsxF "$1" /etc/icecc/icecc.conf || return 0
    changed=yes
    if grep -qs "^${1%%=*}=" /etc/icecc/icecc.conf; then
        do_it sed -i "s|^${1%%=*}=.*|$1|" /etc/icecc/icecc.conf
    else
        echo "+ add $1 to /etc/icecc/icecc.conf" >&2
        [ $dry = yes ] || echo "$1" >>/etc/icecc/icecc.conf
    fi
}
for pair in $settings; do set_line "${pair%%=*}=\"${pair#*=}\""; done
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
