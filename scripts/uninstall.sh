#!/bin/sh
# Removes what scripts/install.sh and scripts/setup-host.sh have put on this machine.
#
#   scripts/uninstall.sh --prefix P [--destdir D] [--purge] [--dry-run]
#
# Services are ended; programs, links of compilers, pages and completions are removed, with folders that installing made and that are
# empty now. Settings (/etc/icecc), account, environments and logs stay, for another installation; --purge removes them too, also later.
# Users' own folders (~/.icecream, of setup-cross.sh and setup-ccache.sh) stay. --dry-run shows what would be done.
# A package is removed by `apt-get remove icecream-rs`.
set -eu
. "$(dirname "$0")/help.sh"
prefix= destdir= purge=no dry=no
while [ $# -gt 0 ]; do
    case $1 in
        --prefix) wants "$1" "a folder" $#; prefix=$2; shift ;;
        --destdir) wants "$1" "a folder" $#; destdir=$2; shift ;;
        --purge) purge=yes ;;
        --dry-run) dry=yes ;;
        -h | --help) usage ;;
        *) wrong "unknown option $1" ;;
    esac
    shift
done
case $prefix in /*) ;; *) wrong "--prefix wants an absolute folder" ;; esac
fail() { echo "uninstall.sh: $*" >&2; exit 1; }
to=$destdir$prefix
list=$to/lib/icecc/installed
[ -e "$list" ] || [ $purge = yes ] || fail "no $list: nothing was installed there by install.sh"
packaged() { dpkg-query -W -f '${db:Status-Status}\n' icecc icecream-rs 2>/dev/null | grep -qx installed; }

# Whether a file of setup-host.sh is of this installation.
of_prefix() { grep -qs "[ =]$prefix/lib/icecc/service " "$1"; }

end_services() {
    for name in iceccd icecc-scheduler; do
        unit=/etc/systemd/system/$name.service
        if of_prefix $unit; then
            [ ! -d /run/systemd/system ] || do_it systemctl disable --now $name
            do_it rm -f $unit
            removed=yes
        elif [ "$(readlink "/proc/$(cat /run/$name.pid 2>/dev/null || echo none)/exe")" = "$prefix/sbin/$name" ]; then
            do_it "$to/lib/icecc/service" $name stop
        fi
    done
    [ -z "${removed:-}" ] || [ ! -d /run/systemd/system ] || do_it systemctl daemon-reload
    ! of_prefix /etc/logrotate.d/icecc || do_it rm -f /etc/logrotate.d/icecc
}

# Links of compilers that came later are not in the list: they lead to one of our two files.
remove_links() {
    for link in "$to"/bin/* "$to"/lib*/icecc/bin/*; do
        [ -L "$link" ] || continue
        case $(readlink -f "$link") in
            "$real"/bin/icecc | "$real"/lib*/icecc/icecc) do_it rm -f "$link" ;;
        esac
    done
}

# Folders come behind what is in them.
remove_listed() {
    listed=$(sort -r "$list" 2>/dev/null || true)
    echo "$listed" | while read -r path; do
        case $path in
            '' | /etc/icecc/icecc.conf) ;;
            */) [ ! -d "$destdir$path" ] || do_it rmdir --ignore-fail-on-non-empty "$destdir$path" ;;
            *) [ ! -e "$destdir$path" ] && [ ! -L "$destdir$path" ] || do_it rm -f "$destdir$path" ;;
        esac
    done
}

remove_settings() {
    do_it rm -f "$destdir/etc/icecc/icecc.conf"
    [ ! -d "$destdir/etc/icecc" ] || do_it rmdir --ignore-fail-on-non-empty "$destdir/etc/icecc"
}

# What hosts of the farm have besides programs and settings.
remove_the_rest() {
    do_it rm -rf /var/cache/icecc /var/log/icecc /var/tmp/icecc-envs /run/icecc
    do_it rm -f /run/iceccd.pid /run/icecc-scheduler.pid
    for log in /var/log/iceccd.log* /var/log/icecc_scheduler.log*; do [ ! -e "$log" ] || do_it rm -f "$log"; done
    ! grep -qs '^icecc:' /etc/subuid || do_it sed -i '/^icecc:/d' /etc/subuid
    ! getent passwd icecc >/dev/null || do_it userdel icecc
    ! getent group icecc >/dev/null || do_it groupdel icecc
}

if [ $purge = yes ] && [ -z "$destdir" ] && packaged; then
    fail "a package of icecc is installed, and uses settings, account and environments: leave --purge out"
fi
[ -n "$destdir" ] || end_services
real=$(readlink -f "$to" || true)
remove_links
remove_listed
[ $purge = no ] || remove_settings
[ $purge = no ] || [ -n "$destdir" ] || remove_the_rest
if [ $dry = yes ]; then echo "uninstall.sh: nothing was removed"; else echo "uninstall.sh: removed from $to"; fi
