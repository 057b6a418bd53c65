#!/bin/sh
# Builds the programs and installs them.
#
#   scripts/install.sh --prefix P [--destdir D] [--no-bin-links] [--debian] [--no-build | --programs FOLDER]
#
# P/bin: icecc icerun icecc-create-env icecc-test-env icedump icetop (and icemon, where that name is free); P/sbin: iceccd icecc-scheduler scheduler;
# P/libexec/icecc/bin: links to icecc, named as compilers; P/lib/icecc/service: starts and ends daemon and scheduler;
# P/lib/icecc/job-ids: lends user ids for jobs to the account icecc;
# P/share/man: the manual; P/share/bash-completion, P/share/zsh, P/share/fish: what shells complete. In a prefix of its own (not /usr,
# /usr/local) the compiler links are in P/bin too, so that PATH=P/bin:$PATH is all a user needs; --no-bin-links leaves those out.
# --debian: the paths of Debian's package icecc (links in P/lib/icecc/bin, no link named scheduler), and its settings, service scripts,
# units and log rotation in D/etc and P/lib/systemd.
# FOLDER: programs built already.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/prepare.sh"
prefix= destdir= bin_links=yes debian=no build=yes target=${CARGO_TARGET_DIR:-$root/target}/release

usage() {
    sed -n 's/^# \{0,1\}//; 2,13p' "$0"
    exit "$1"
}
while [ $# -gt 0 ]; do
    case $1 in
        --prefix) prefix=${2?"--prefix wants a folder"}; shift ;;
        --prefix=*) prefix=${1#*=} ;;
        --destdir) destdir=${2?"--destdir wants a folder"}; shift ;;
        --destdir=*) destdir=${1#*=} ;;
        --no-bin-links) bin_links=no ;;
        --debian) debian=yes ;;
        --no-build) build=no ;;
        --programs) target=${2?"--programs wants a folder"} build=no; shift ;;
        -h | --help) usage 0 ;;
        *) say "unknown option $1" >&2; usage 2 >&2 ;;
    esac
    shift
done
case $prefix in
    /*) ;;
    *) say "--prefix wants an absolute folder" >&2; exit 2 ;;
esac
case $prefix in /usr | /usr/local) bin_links=no ;; esac
if [ $debian = yes ] && [ -z "$destdir" ] && [ "$(dpkg-query -W -f '${db:Status-Status}' icecc 2>/dev/null)" = installed ]; then
    say "these are the files of the installed package icecc, whose next upgrade would put its own back: use scripts/package.sh" >&2
    exit 1
fi
links=libexec/icecc/bin
[ $debian = no ] || { links=lib/icecc/bin; bin_links=no; }

if [ $build = yes ]; then
    need_cargo
    (cd "$root" && cargo build -q --release --bins)
fi
to=$destdir$prefix
mkdir -p "$to/bin" "$to/sbin" "$to/$links"
for program in icecc icerun icecc-create-env icecc-test-env icedump icetop; do
    if [ $program = icerun ] && [ ! -e "$target/icerun" ]; then ln -sf icecc "$to/bin/icerun"
    else install -m 755 "$target/$program" "$to/bin/$program"
    fi
done
for program in iceccd icecc-scheduler; do install -m 755 "$target/$program" "$to/sbin/$program"; done
[ $debian = yes ] || ln -sf icecc-scheduler "$to/sbin/scheduler"
# icecc-monitor's program is called so: Debian's package leaves that to update-alternatives.
if [ $debian = no ] && [ ! -e "$to/bin/icemon" ] && ! command -v icemon >/dev/null; then ln -s icetop "$to/bin/icemon"; fi
# Links of compilers lead to a second name of icecc: ccache, which finds one of them, takes no program for CCACHE_PREFIX=icecc that is
# the same file.
up=$(echo "$links" | sed "s|[^/][^/]*|..|g")
second=${links%/bin}/icecc
ln -f "$to/bin/icecc" "$to/$second" 2>/dev/null || install -m 755 "$to/bin/icecc" "$to/$second"
ln -sf "$up/bin/icecc" "$to/$links/icecc"
for name in cc c++ gcc g++ clang clang++; do
    ln -sf "$up/$second" "$to/$links/$name"
    [ $bin_links = no ] || ln -sf "../$second" "$to/bin/$name"
done
# On this machine those of all compilers that are here, and no others; what another one has is not known.
[ -n "$destdir" ] || "$to/bin/icecc" --update-links

for page in "$root"/scripts/man/*.[17]; do
    section=$to/share/man/man${page##*.}
    mkdir -p "$section"
    install -m 644 "$page" "$section"
done
[ $debian = yes ] || ln -sf icecc-scheduler.1 "$to/share/man/man1/scheduler.1"

# Debian's zsh has a folder of its own for packages.
zsh=zsh/site-functions
[ $debian = no ] || zsh=zsh/vendor-completions
for pair in bash:bash-completion/completions zsh:$zsh fish:fish/vendor_completions.d; do
    section=$to/share/${pair#*:}
    mkdir -p "$section"
    install -m 644 "$root/scripts/completions/${pair%%:*}"/* "$section"
done

# fill MODE FILE TO: one of scripts/service, which names the prefix.
fill() {
    mkdir -p "$(dirname "$3")"
    sed "s|@prefix@|$prefix|g" "$root/scripts/service/$2" >"$3"
    chmod "$1" "$3"
}
fill 755 service "$to/lib/icecc/service"
fill 755 job-ids "$to/lib/icecc/job-ids"
if [ $debian = yes ]; then
    ln -sf ../../bin/icecc-create-env "$to/lib/icecc/icecc-create-env"
    for name in iceccd icecc-scheduler; do
        fill 755 $name.init "$destdir/etc/init.d/$name"
        fill 644 $name.service "$to/lib/systemd/system/$name.service"
    done
    fill 644 logrotate "$destdir/etc/logrotate.d/icecc"
    [ -e "$destdir/etc/icecc/icecc.conf" ] || fill 644 icecc.conf "$destdir/etc/icecc/icecc.conf"
fi
say "installed to $to"
