#!/bin/sh
# Hosts as network namespaces: calls icelab, building it where it is missing. See: scripts/lab.sh --help
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
icelab=${ICELAB:-$root/target/debug/icelab}
if [ ! -x "$icelab" ]; then
    . "$root/scripts/prepare.sh"
    need_cargo
    (cd "$root" && cargo build -q --bins)
fi
exec "$icelab" "$@"
