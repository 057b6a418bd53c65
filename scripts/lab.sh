#!/bin/sh
# Hosts as network namespaces: calls icelab, which is built where it is missing.
#
#   scripts/lab.sh COMMAND...     --help lists icelab's commands, once it is built
set -eu
# Its own help comes first, icelab's follows.
(. "$(dirname "$0")/help.sh")
root=$(cd "$(dirname "$0")/.." && pwd)
icelab=${ICELAB:-$root/target/debug/icelab}
if [ ! -x "$icelab" ]; then
    case ${1:-} in -h | --help) exit 0 ;; esac
    . "$root/scripts/prepare.sh"
    need_cargo
    (cd "$root" && cargo build -q --bins)
fi
exec "$icelab" "$@"
