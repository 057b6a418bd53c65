#!/bin/sh
# What all scripts have in common for their command line; each sources it first. `--help` as the first word shows the comment at
# the head of the script.
set -eu

# usage: shows it, and ends.
usage() {
    awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$0"
    exit 0
}

# wrong WORD...: one line, and status 2.
wrong() {
    echo "$(basename "$0"): $* (see --help)" >&2
    exit 2
}

# wants OPTION WHAT COUNT: ends unless a value follows. COUNT: the words that are left, with the option.
wants() { [ "$3" -gt 1 ] || wrong "$1 wants $2"; }

# do_it COMMAND...: shows the command and runs it; with dry=yes it is only shown.
do_it() {
    echo "+ $*" >&2
    [ "${dry:-no}" = yes ] || "$@"
}

case ${1:-} in -h | --help) usage ;; esac
