#!/bin/sh
# Prepares a user's machine for a cross compiler: links to icecc, an environment, and the exports to put into a profile.
#
#   scripts/setup-cross.sh TRIPLET [--folder DIR] [--dry-run]
#
# TRIPLET: arm-linux-gnueabihf, or the path of its compiler's beginning (/opt/tc/bin/arm-none-eabi).
# DIR: where links and archive go (default ~/.icecream/TRIPLET). May be run again at any time.
set -eu
. "$(dirname "$0")/help.sh"
triplet= folder= dry=no
while [ $# -gt 0 ]; do
    case $1 in
        --folder) wants "$1" "a folder" $#; folder=$2; shift ;;
        --dry-run) dry=yes ;;
        -h | --help) usage ;;
        -*) wrong "unknown option $1" ;;
        *) triplet=$1 ;;
    esac
    shift
done
[ -n "$triplet" ] || wrong "a compiler has to be named, as arm-linux-gnueabihf"
fail() { echo "setup-cross.sh: $*" >&2; exit 1; }

icecc=$(command -v icecc) || fail "no icecc in PATH"
name=$(basename "$triplet")
[ -n "$folder" ] || folder=${HOME:?}/.icecream/$name
case $folder in /*) ;; *) folder=$(pwd)/$folder ;; esac

# real NAME: the compiler itself, never one of our links.
real() {
    case $triplet in */*) [ ! -x "$(dirname "$triplet")/$1" ] || echo "$(dirname "$triplet")/$1"; return ;; esac
    old=$IFS
    IFS=:
    for place in $PATH; do
        file=$place/$1
        [ -x "$file" ] || continue
        case $(basename "$(readlink -f "$file")") in icecc | icerun | ccache) continue ;; esac
        echo "$file"
        break
    done
    IFS=$old
}
gcc=$(real "$name-gcc")
[ -n "$gcc" ] || fail "no $name-gcc in PATH (Debian: package gcc-$name)"
gxx=$(real "$name-g++")

do_it mkdir -p "$folder/bin"
for program in gcc g++ cc c++; do
    [ -n "$(real "$name-$program")" ] || continue
    link=$folder/bin/$name-$program
    [ "$(readlink "$link" 2>/dev/null)" = "$icecc" ] || do_it ln -sfn "$icecc" "$link"
done

# The archive is named for its content: made again it has the same name, unless the compiler was changed.
archive=$folder/ENVIRONMENT.tar.gz
if [ $dry = yes ]; then
    echo "+ (in $folder) icecc --build-native $gcc" >&2
else
    (cd "$folder" && "$icecc" --build-native "$gcc" >said) || { cat "$folder/said" >&2; fail "no environment for $gcc"; }
    made=$(sed -n 's/^creating //p' "$folder/said" | tail -n 1)
    [ -n "$made" ] || fail "icecc --build-native names no archive"
    rm -f "$folder/said"
    for file in "$folder"/*.tar*; do [ "$file" = "$folder/$made" ] || rm -f "$file"; done
    archive=$folder/$made
fi

cat <<END
# For a shell that builds for $name only: gcc means $name-gcc there. For the links alone the first line is enough.
export PATH="$folder/bin:\$PATH"
export ICECC_VERSION="$archive"
export ICECC_CC="$gcc"
END
[ -z "$gxx" ] || echo "export ICECC_CXX=\"$gxx\""
echo "# then: make -j20 CC=$name-gcc CXX=$name-g++"
