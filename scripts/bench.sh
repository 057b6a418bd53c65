#!/bin/sh
# Our programs beside Debian's icecc 1.4 on the same lab, in turn: prints a table of medians and ratios, then the
# scheduler's decisions per second. What is measured is what scripts/install.sh installs.
#
#   scripts/bench.sh [--rounds N] [ROW...]     ROW: part of a row's name; without any, all and the decisions
#   scripts/bench.sh env [--rounds N]          making environments: scripts/bench.d/env.sh
#
# BENCH_LIMIT: seconds that the table may take (1500). As root the labs of both sides run before everything else on the
# machine (real-time priority), so that other work disturbs the figures less; BENCH_PRIORITY=no leaves that out.
set -eu
. "$(dirname "$0")/help.sh"
for word in "$@"; do
    case $word in --rounds) ;; -h | --help) usage ;; -*) wrong "unknown option $word" ;; esac
done
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
. scripts/prepare.sh
# shellcheck disable=SC2086
need $PACKAGES_TEST
need_cargo
if [ "${1:-}" = env ]; then
    shift
    cargo build -q --release --bins
    BENCH_BUILT=yes exec scripts/bench.d/env.sh "$@"
fi
# The lab's program is a package of its own: what follows does not build it.
cargo build -q --release -p ice-lab
# This builds the programs too, as a release has them.
benches=$(cargo bench -p ice-bins --bench whole --bench scheduler --no-run 2>&1) || { echo "$benches" >&2; exit 1; }
bench_of() { echo "$benches" | sed -n "s/^ *Executable.*(\\(.*\\/$1-[0-9a-f]*\\))\$/\\1/p"; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM HUP
chmod 755 "$folder"
scripts/install.sh --prefix "$folder" --no-build >/dev/null
first=
if [ "$(id -u)" = 0 ] && [ "${BENCH_PRIORITY:-yes}" = yes ] && chrt -r 10 true 2>/dev/null; then
    first="chrt -r 10"
    say "both sides run at real-time priority"
fi
# The labs end with the program that made them, however that ends.
$first timeout -k 30 "${BENCH_LIMIT:-1500}" "$(bench_of whole)" --programs "$folder" "$@" || { say "the table is not complete" >&2; exit 1; }
for option in "$@"; do
    case $option in
        --rounds | [0-9]*) ;;
        *) exit 0 ;;
    esac
done
echo
$first timeout -k 30 300 "$(bench_of scheduler)"
