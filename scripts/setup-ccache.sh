#!/bin/sh
# ccache before icecream: the wrapper of the manual for each compiler, so that hits cost nothing and misses go to the farm.
#
#   scripts/setup-ccache.sh [--folder DIR] [--dry-run] [COMPILER...]
#
# COMPILER: gcc g++ cc c++ clang clang++ by default, those of them that are installed; cross compilers by their names.
# DIR: where wrappers and links go (default ~/.icecream/ccache). May be run again at any time.
set -eu

usage() {
    sed -n 's/^# \{0,1\}//; 2,7p' "$0"
    exit "$1"
}
folder= dry=no compilers=
while [ $# -gt 0 ]; do
    case $1 in
        --folder) folder=${2?"--folder wants a folder"}; shift ;;
        --dry-run) dry=yes ;;
        -h | --help) usage 0 ;;
        -*) echo "setup-ccache.sh: unknown option $1" >&2; usage 2 >&2 ;;
        *) compilers="$compilers $1" ;;
    esac
    shift
done
do_it() { echo "+ $*" >&2; [ $dry = yes ] || "$@"; }
fail() { echo "setup-ccache.sh: $*" >&2; exit 1; }
icecc=$(command -v icecc) || fail "no icecc in PATH"
ccache=$(command -v ccache) || fail "no ccache in PATH"
[ -n "$folder" ] || folder=${HOME:?}/.icecream/ccache
case $folder in /*) ;; *) folder=$(pwd)/$folder ;; esac
[ -n "$compilers" ] || compilers="gcc g++ cc c++ clang clang++"

do_it mkdir -p "$folder/bin" "$folder/icecc"
for compiler in $compilers; do
    command -v "$compiler" >/dev/null || { echo "no $compiler: left out" >&2; continue; }
    link=$folder/icecc/$compiler
    [ "$(readlink "$link" 2>/dev/null)" = "$icecc" ] || do_it ln -sfn "$icecc" "$link"
    wrapper=$folder/bin/$compiler
    text="#!/bin/sh
# Made by setup-ccache.sh: ccache first, and for what it does not have, icecream.
CCACHE_PATH=$folder/icecc exec $ccache $compiler \"\$@\""
    if [ "$(cat "$wrapper" 2>/dev/null)" != "$text" ]; then
        echo "+ write $wrapper" >&2
        [ $dry = yes ] || { printf '%s\n' "$text" >"$wrapper.new" && chmod 755 "$wrapper.new" && mv "$wrapper.new" "$wrapper"; }
    fi
done
echo "export PATH=\"$folder/bin:\$PATH\""
