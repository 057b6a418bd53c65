#!/bin/sh
# Builds the programs and installs them.
#
#   scripts/install.sh --prefix P [--destdir D] [--no-bin-links] [--debian] [--no-build | --programs FOLDER] [--dry-run]
#
# P/bin: icecc icerun icecc-create-env icecc-test-env icedump icetop (and icemon, where that name is free); P/sbin: iceccd icecc-scheduler scheduler;
# P/libexec/icecc/bin: links to icecc, named as compilers; P/lib/icecc/service: starts and ends daemon and scheduler;
# P/lib/icecc/job-ids: lends user ids for jobs to the account icecc;
# P/share/man: the manual; P/share/bash-completion, P/share/zsh, P/share/fish: what shells complete. In a prefix of its own (not /usr,
# /usr/local) the compiler links are in P/bin too, so that PATH=P/bin:$PATH is all a user needs; --no-bin-links leaves those out.
# --debian: the paths of Debian's package icecc (links in P/lib/icecc/bin, no link named scheduler), and its settings, service scripts,
# units and log rotation in D/etc and P/lib/systemd.
# FOLDER: programs built already. --dry-run: shows what would be written, and builds and writes nothing.
# P/lib/icecc/installed: what was written, for scripts/uninstall.sh.
set -eu
. "$(dirname "$0")/help.sh"
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/prepare.sh"
prefix= destdir= bin_links=yes debian=no build=yes dry=no target=${CARGO_TARGET_DIR:-$root/target}/release
# What scripts/package.sh --static makes has them beside the scripts.
[ ! -d "$root/programs" ] || target=$root/programs build=no

while [ $# -gt 0 ]; do
    case $1 in
        --prefix) wants "$1" "a folder" $#; prefix=$2; shift ;;
        --prefix=*) prefix=${1#*=} ;;
        --destdir) wants "$1" "a folder" $#; destdir=$2; shift ;;
        --destdir=*) destdir=${1#*=} ;;
        --no-bin-links) bin_links=no ;;
        --debian) debian=yes ;;
        --no-build) build=no ;;
        --programs) wants "$1" "a folder" $#; target=$2 build=no; shift ;;
        --dry-run) dry=yes ;;
        -h | --help) usage ;;
        *) wrong "unknown option $1" ;;
    esac
    shift
done
case $prefix in
    /*) ;;
    *) wrong "--prefix wants an absolute folder" ;;
esac
case $prefix in /usr | /usr/local) bin_links=no ;; esac
if [ $debian = yes ] && [ -z "$destdir" ] && [ "$(dpkg-query -W -f '${db:Status-Status}' icecc 2>/dev/null)" = installed ]; then
    say "these are the files of the installed package icecc, whose next upgrade would put its own back: use scripts/package.sh" >&2
    exit 1
fi
links=libexec/icecc/bin
[ $debian = no ] || { links=lib/icecc/bin; bin_links=no; }

if [ $build = yes ] && [ $dry = no ]; then
    need_cargo
    (cd "$root" && cargo build -q --release --bins)
fi
to=$destdir$prefix
list=$to/lib/icecc/installed
# What is in the list of an earlier installation was made by that one.
written=$(cat "$list" 2>/dev/null || true)
note() { written="$written
${1#"$destdir"}"; }

# folder PATH: makes it with those above it; one that was here is not ours.
folder() {
    [ ! -d "$1" ] || return 0
    folder "$(dirname "$1")"
    [ $dry = yes ] || mkdir "$1"
    case $1 in "$destdir"/?*) note "$1/" ;; esac
}
# act FILE COMMAND...: shows FILE, or makes it by the command.
act() {
    folder "$(dirname "$1")"
    note "$1"
    if [ $dry = yes ]; then echo "+ write $1" >&2; return 0; fi
    shift
    "$@"
}
# copy MODE FILE TO, link TARGET LINK
copy() { act "$3" install -m "$1" "$2" "$3"; }
link() { act "$2" ln -sf "$1" "$2"; }
# fill MODE FILE TO: one of scripts/service, which names the prefix.
filled() { sed "s|@prefix@|$prefix|g" "$root/scripts/service/$2" >"$3" && chmod "$1" "$3"; }
fill() { act "$3" filled "$@"; }

for program in icecc icerun icecc-create-env icecc-test-env icedump icetop; do
    if [ $program = icerun ] && [ ! -e "$target/icerun" ]; then link icecc "$to/bin/icerun"
    else copy 755 "$target/$program" "$to/bin/$program"
    fi
done
for program in iceccd icecc-scheduler; do copy 755 "$target/$program" "$to/sbin/$program"; done
[ $debian = yes ] || link icecc-scheduler "$to/sbin/scheduler"
# icecc-monitor's program is called so: Debian's package leaves that to update-alternatives.
if [ $debian = no ] && [ ! -e "$to/bin/icemon" ] && ! command -v icemon >/dev/null; then link icetop "$to/bin/icemon"; fi
# Links of compilers lead to a second name of icecc: ccache, which finds one of them, takes no program for CCACHE_PREFIX=icecc that is
# the same file.
up=$(echo "$links" | sed "s|[^/][^/]*|..|g")
second=${links%/bin}/icecc
second_name() { ln -f "$to/bin/icecc" "$to/$second" 2>/dev/null || install -m 755 "$to/bin/icecc" "$to/$second"; }
act "$to/$second" second_name
link "$up/bin/icecc" "$to/$links/icecc"
for name in cc c++ gcc g++ clang clang++; do
    link "$up/$second" "$to/$links/$name"
    [ $bin_links = no ] || link "../$second" "$to/bin/$name"
done
# On this machine those of all compilers that are here, and no others; what another one has is not known.
[ -n "$destdir" ] || [ $dry = yes ] || "$to/bin/icecc" --update-links

for page in "$root"/scripts/man/*.[1-8]; do copy 644 "$page" "$to/share/man/man${page##*.}/${page##*/}"; done
[ $debian = yes ] || link icecc-scheduler.1 "$to/share/man/man1/scheduler.1"

# Debian's zsh has a folder of its own for packages.
zsh=zsh/site-functions
[ $debian = no ] || zsh=zsh/vendor-completions
for pair in bash:bash-completion/completions zsh:$zsh fish:fish/vendor_completions.d; do
    for file in "$root/scripts/completions/${pair%%:*}"/*; do copy 644 "$file" "$to/share/${pair#*:}/${file##*/}"; done
done

fill 755 service "$to/lib/icecc/service"
fill 755 job-ids "$to/lib/icecc/job-ids"
if [ $debian = yes ]; then
    link ../../bin/icecc-create-env "$to/lib/icecc/icecc-create-env"
    for name in iceccd icecc-scheduler; do
        fill 755 $name.init "$destdir/etc/init.d/$name"
        fill 644 $name.service "$to/lib/systemd/system/$name.service"
    done
    fill 644 logrotate "$destdir/etc/logrotate.d/icecc"
    [ -e "$destdir/etc/icecc/icecc.conf" ] || fill 644 icecc.conf "$destdir/etc/icecc/icecc.conf"
fi
if [ $dry = yes ]; then
    say "nothing was written"
else
    note "$list"
    printf '%s\n' "$written" | sed '/^$/d' | sort -u >"$list"
    say "installed to $to"
fi
