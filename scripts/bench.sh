#!/bin/sh
# Our programs beside Debian's icecc 1.4 on the same lab, in turn: prints a table of medians and ratios.
#
#   scripts/bench.sh [--rounds N] [ROW...]     ROW: part of a row's name
#   scripts/bench.sh env [--rounds N]          making environments: scripts/bench.d/env.sh
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
. scripts/prepare.sh
# shellcheck disable=SC2086
need $PACKAGES_TEST
need_cargo
cargo build -q --release --bins
if [ "${1:-}" = env ]; then
    shift
    BENCH_BUILT=yes exec scripts/bench.d/env.sh "$@"
fi
exec cargo bench -q -p ice-bins --bench whole -- "$@"
