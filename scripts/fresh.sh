#!/bin/sh
# Proves the README's two commands on a bare Debian 12: makes one in a folder, copies a clean clone in, runs them there.
#
#   scripts/fresh.sh [demo] [test]     default: both
#
# Needs root, git and debootstrap. The root gets nothing of this machine but where apt and cargo fetch from. Ends with how long
# each command took; everything is removed.
set -eu
. "$(dirname "$0")/help.sh"
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/prepare.sh"
commands=${*:-demo test}
for command in $commands; do
    case $command in
        demo | test) ;;
        *) wrong "unknown command $command" ;;
    esac
done
[ "$(id -u)" = 0 ] || { say "needs root" >&2; exit 1; }
need debootstrap:debootstrap git:git

work=$(mktemp -d -p /var/tmp icecream-fresh.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM
new=$work/root

mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian}
started=$(date +%s)
say "a bare Debian 12 from $mirror"
debootstrap --variant=minbase bookworm "$new" "$mirror" >"$work/debootstrap.log" 2>&1 || { tail -n 20 "$work/debootstrap.log"; exit 1; }
say "made in $(since "$started") s"

# Where packages come from: sources and their keys, ways through proxies, names, trusted certificates, cargo's set-up.
rm -rf "$new/etc/apt/sources.list" "$new/etc/apt/sources.list.d"
for path in etc/apt/sources.list etc/apt/sources.list.d etc/apt/keyrings etc/apt/trusted.gpg.d etc/apt/auth.conf.d \
    usr/share/keyrings etc/resolv.conf etc/hosts etc/ssl/certs/ca-certificates.crt usr/local/share/ca-certificates; do
    [ -e "/$path" ] || continue
    mkdir -p "$new/$(dirname "$path")"
    cp -rL "/$path" "$new/$(dirname "$path")/"
done
grep -l '^Acquire' /etc/apt/apt.conf.d/* 2>/dev/null | while read -r file; do cp "$file" "$new/etc/apt/apt.conf.d/"; done
cargo_home=${CARGO_HOME:-${HOME:-/root}/.cargo}
for file in config.toml config; do
    if [ -e "$cargo_home/$file" ]; then
        mkdir -p "$new/root/.cargo"
        cp "$cargo_home/$file" "$new/root/.cargo/"
    fi
done
git -c safe.directory='*' clone -q --no-hardlinks "$root" "$new/root/icecream-rs"

# Variables that say how to reach the network, and nothing else.
network=$(env | sed -n 's/^\(\(http\|https\|no\|all\)_proxy\|\(HTTP\|HTTPS\|NO\|ALL\)_PROXY\|CARGO_HTTP_[A-Z_]*\)=.*/\1/p')
set -- HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb
for name in $network; do eval "set -- \"\$@\" \"$name=\$$name\""; done

# Runs a command in the new root, in mount and process namespaces of its own. No chroot: that would forbid user namespaces.
inside() {
    command=$1
    shift
    unshare --mount --pid --uts --fork --kill-child sh -euc '
        new=$1; command=$2; shift 2
        mount --make-rprivate /
        mount --bind "$new" "$new"
        for path in dev sys; do mount --rbind "/$path" "$new/$path"; done
        mount -t tmpfs none "$new/run"
        mount -t proc none "$new/proc"
        cd "$new"
        pivot_root . mnt
        umount -l /mnt
        hostname fresh 2>/dev/null || true
        cd /root/icecream-rs
        exec env -i "$@" "scripts/$command.sh"' sh "$new" "$command" "$@"
}

results=
status=0
for command in $commands; do
    started=$(date +%s)
    say "scripts/$command.sh"
    if inside "$command" "$@"; then verdict=ok; else verdict=FAILED status=1; fi
    results="$results $command.sh: $verdict, $(since "$started") s;"
done
say "on a bare Debian 12:$results"
exit $status
