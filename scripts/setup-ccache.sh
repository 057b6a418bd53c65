#!/bin/sh
# ccache before icecream: a wrapper for each compiler, so that hits cost nothing and misses go to the farm.
#
#   scripts/setup-ccache.sh [--folder DIR] [--dry-run] [COMPILER...]
#
# COMPILER: gcc g++ cc c++ clang clang++ by default, those of them that are installed; cross compilers by their names.
# DIR: where they go (default ~/.icecream/ccache). May be run again at any time.
set -eu
. "$(dirname "$0")/help.sh"
folder= dry=no compilers=
while [ $# -gt 0 ]; do
    case $1 in
        --folder) wants "$1" "a folder" $#; folder=$2; shift ;;
        --dry-run) dry=yes ;;
        -h | --help) usage ;;
        -*) wrong "unknown option $1" ;;
        *) compilers="$compilers $1" ;;
    esac
    shift
done
fail() { echo "setup-ccache.sh: $*" >&2; exit 1; }
icecc=$(command -v icecc) || fail "no icecc in PATH"
ccache=$(command -v ccache) || fail "no ccache in PATH"
[ -n "$folder" ] || folder=${HOME:?}/.icecream/ccache
case $folder in /*) ;; *) folder=$(pwd)/$folder ;; esac
[ -n "$compilers" ] || compilers="gcc g++ cc c++ clang clang++"

# ccache cuts it into words.
case $icecc in *[[:space:]]*) fail "$icecc: no blanks, please, or ccache cannot run it" ;; esac

# real NAME: the compiler itself, never one of our links and wrappers, or ccache's.
real() {
    old=$IFS
    IFS=:
    for place in $PATH; do
        file=$place/$1
        [ -f "$file" ] && [ -x "$file" ] && [ "$place" != "$folder/bin" ] || continue
        case $(basename "$(readlink -f "$file")") in icecc | icerun | ccache) continue ;; esac
        echo "$file"
        break
    done
    IFS=$old
}

do_it mkdir -p "$folder/bin"
for compiler in $compilers; do
    file=$(real "$compiler")
    [ -n "$file" ] || { echo "no $compiler: left out" >&2; continue; }
    wrapper=$folder/bin/$compiler
    # The compiler by its path: ccache knows a new one by its file, and would look at ours behind a link.
    text="#!/bin/sh
# Made by setup-ccache.sh: ccache first, and for what it does not have, icecream.
CCACHE_PREFIX='$icecc' exec '$ccache' '$file' \"\$@\""
    if [ "$(cat "$wrapper" 2>/dev/null)" != "$text" ]; then
        echo "+ write $wrapper" >&2
        [ $dry = yes ] || { printf '%s\n' "$text" >"$wrapper.new" && chmod 755 "$wrapper.new" && mv "$wrapper.new" "$wrapper"; }
    fi
done
echo "export PATH=\"$folder/bin:\$PATH\""
