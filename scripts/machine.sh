#!/bin/sh
# Runs a command on a copy of this system that has systemd as its first process and a network of its own, then throws the copy away.
#
#   scripts/machine.sh COMMAND...
#
# Wants root. What changes there is kept in memory, but in the current folder, which is the real one. Ends with the command's status,
# or 77 where there can be no such copy.
set -eu
. "$(dirname "$0")/help.sh"
errors=/dev/null
fail() { cat $errors >&2; echo "machine.sh: $*" >&2; exit 77; }

# Becomes the first process, in namespaces made for it. $1: an empty folder; $2: the one that stays real.
inside() {
    mount -t tmpfs none "$1"
    cd "$1"
    mkdir upper work root
    mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay root
    mount -t proc proc root/proc
    # Settings of the kernel are everybody's.
    mount --bind root/proc/sys root/proc/sys
    mount -o remount,bind,ro root/proc/sys
    mount -t sysfs -o ro sysfs root/sys
    mount -t tmpfs none root/run
    mount -t tmpfs none root/dev
    for device in null zero full random urandom tty; do
        : >root/dev/$device
        mount --bind /dev/$device root/dev/$device
    done
    mkdir root/dev/pts root/dev/shm root/dev/mqueue
    mount -t devpts -o newinstance,ptmxmode=0666 none root/dev/pts
    ln -s pts/ptmx root/dev/ptmx
    if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
        mount -t cgroup2 none root/sys/fs/cgroup
    else
        mount -t tmpfs none root/sys/fs/cgroup
        mkdir root/sys/fs/cgroup/systemd root/sys/fs/cgroup/unified
        mount -t cgroup -o none,name=systemd systemd root/sys/fs/cgroup/systemd
        mount -t cgroup2 none root/sys/fs/cgroup/unified
    fi
    # None of this system's services.
    rm -rf root/etc/systemd/system/*.wants
    mkdir -p "root$2"
    mount --bind "$2" "root$2"
    cd root
    mkdir -p mnt
    pivot_root . mnt
    umount -l /mnt
    cd /
    export container=machine
    exec /lib/systemd/systemd --system --unit=basic.target --log-target=null --show-status=no
}
if [ "${1:-}" = --inside ]; then inside "$2" "$3"; fi

[ $# != 0 ] || wrong "a command has to be named"
case $1 in -*) wrong "unknown option $1" ;; esac
[ "$(id -u)" = 0 ] || fail "not root"
[ -x /lib/systemd/systemd ] || fail "no systemd"
folder=$(mktemp -d)
errors=$(mktemp)
groups=
self=$(realpath "$0")
starter=
finish() {
    result=$?
    trap - EXIT INT TERM
    if [ -n "$starter" ]; then
        # shellcheck disable=SC2086
        kill -KILL ${first:-} "$starter" 2>/dev/null || true
        wait "$starter" 2>/dev/null || true
    fi
    # A group's processes are gone a little after their namespace.
    tries=0
    while [ $tries -lt 50 ]; do
        # shellcheck disable=SC2086
        [ -z "$groups" ] || find $groups -depth -type d -exec rmdir {} + 2>/dev/null && break
        tries=$((tries + 1))
        sleep 0.1
    done
    rm -f "$errors"
    rmdir "$folder"
    exit $result
}
trap finish EXIT
trap 'exit 130' INT TERM
for tree in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -w $tree/cgroup.procs ] && mkdir $tree/machine-$$ 2>/dev/null || continue
    groups="$groups $tree/machine-$$"
done
[ -n "$groups" ] || fail "no control group can be made"
# It joins them before its namespaces are made.
# shellcheck disable=SC2016
sh -c 'for group in $2; do echo $$ >$group/cgroup.procs; done
    exec unshare -C -m -p -u -i -n --fork --kill-child "$0" --inside "$1" "$PWD"' "$self" "$folder" "$groups" </dev/null 2>"$errors" &
starter=$!
first=
enter() { nsenter -t "$first" -m -p -u -i -n -C env -i -C "$PWD" PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
tries=0
until [ -n "$first" ] && [ -e "/proc/$first/root/run/systemd/private" ] && enter systemctl is-active -q basic.target; do
    tries=$((tries + 1))
    kill -0 $starter 2>/dev/null && [ $tries -lt 300 ] || fail "systemd does not start here"
    sleep 0.2
    first=$(tr -d ' ' 2>/dev/null <"/proc/$starter/task/$starter/children" || true)
done
enter "$@"
