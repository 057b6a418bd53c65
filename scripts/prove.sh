#!/bin/sh
# Runs one line of what is promised (CONTRIBUTING.md) by itself and prints what it found.
#
#   scripts/prove.sh main.N      N: 1 to 9
#   scripts/prove.sh LINE        a program of that name in scripts/prove.d, as dropin.2
#   scripts/prove.sh all         every line, one after the other: hours
#
# Ends with 0 only if what the line promises was seen to hold.
set -eu
. "$(dirname "$0")/help.sh"
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
case ${1:-} in
    main.[1-9] | all) ;;
    *) [ -n "${1:-}" ] && [ -x "scripts/prove.d/$1" ] || wrong "unknown line ${1:-}" ;;
esac
. scripts/prepare.sh
# shellcheck disable=SC2086
need $PACKAGES_TEST
need_cargo

# One of the long end-to-end tests, by our release programs.
end_to_end() { show --release -p ice-bins --test e2e -- --ignored --nocapture --exact "prove::$1"; }

# Every line, each whatever became of the others, then what became of each.
all() {
    verdicts=$(mktemp)
    failed=
    for line in $(seq -f main.%g 9) $(ls scripts/prove.d | grep -v -- -); do
        begun=$(date +%s)
        echo "==== $line"
        if "$0" "$line"; then verdict=shown; else verdict=FAILED failed=yes; fi
        printf '%-12s %6d s  %s\n' "$line" "$(since "$begun")" $verdict >>"$verdicts"
    done
    echo
    cat "$verdicts"
    rm -f "$verdicts"
    [ -z "$failed" ]
}

case ${1:-} in
    main.1) exec scripts/fresh.sh ;;
    main.2)
        need python3:python3
        cargo build -q --release --bins
        python3 testdata/wire/check.py --icedump target/release/icedump --round-trip
        show -p ice-net
        ;;
    main.3) end_to_end main_3_make_j200_also_with_hosts_that_die ;;
    main.4) end_to_end main_4_a_frozen_host_costs_others_little ;;
    main.5) show --release -p ice-bins --test e2e -- --nocapture messages:: ;;
    main.6) SIM_SEEDS=40 SIM_LARGE_SEEDS=20 show --release -p ice-core --test sim -- --nocapture --include-ignored ;;
    main.7) exec .ci/run ;;
    main.8) exec scripts/bench.sh ;;
    main.9)
        folder=$(mktemp -d)
        trap 'rm -rf "$folder"' EXIT
        scripts/install.sh --prefix /opt/icecream --destdir "$folder"
        chmod 755 "$folder"
        PROVE_INSTALLED=$folder/opt/icecream end_to_end main_9_the_manual_as_written
        scripts/bench.sh "local job"
        ;;
    all) all ;;
    *)
        # Lines of other lists are programs of their own.
        line=$1
        shift
        exec "scripts/prove.d/$line" "$@"
        ;;
esac
