#!/bin/sh
# Time and size of environments beside 1.4's icecc-create-env, per compression, and the first job on a cold farm.
#
#   scripts/bench.sh env [--rounds N]
set -eu
. "$(dirname "$0")/../help.sh"
case ${1:---rounds} in --rounds) ;; *) wrong "unknown word $1" ;; esac
cd "$(dirname "$0")/../.."
root=$(pwd)
. scripts/prepare.sh
# shellcheck disable=SC2086
need $PACKAGES_TEST bash:bash bzip2:bzip2 xz:xz-utils zstd:zstd
need_cargo
rounds=3
[ "${1:-}" != --rounds ] || rounds=$2
[ -n "${BENCH_BUILT:-}" ] || cargo build -q --release --bins
ours=$root/target/release
theirs=/usr/bin/icecc-create-env
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"

# clock FILE COMMAND...: appends wall and CPU seconds to FILE.
clock() {
    file=$1
    shift
    bash -c 'TIMEFORMAT="%R %U %S"; out=$1; shift; { time "$@" >said 2>&1 || exit 1; } 2>>"$out"' clock "$file" "$@" ||
        { cat said >&2; exit 1; }
}

# middle FILE: medians of wall and of CPU seconds.
middle() {
    for column in '$1' '$2 + $3'; do
        awk "{ print $column }" "$1" | sort -n | awk '{ a[NR] = $1 } END { printf "%.2f ", a[int((NR + 1) / 2)] }'
    done
}

printf 'machine: %s x %s; load before %s; %s rounds, medians; the sides take turns\n\n' "$(nproc)" \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(cut -d ' ' -f 1 /proc/loadavg)" "$rounds"
printf '%-14s %8s %8s %7s %8s | %8s %8s %9s %9s %7s\n' 'environment' 'ours s' '1.4 s' 'ratio' 'target' 'CPU ours' 'CPU 1.4' 'MB ours' 'MB 1.4' 'ratio'
missed=
for compiler in gcc clang; do
    for pair in none:0.5 zstd:0.5 gzip:0.7 bzip2:1.0 xz:1.0; do
        type=${pair%:*}
        # clang's 237 MB by the slow ones say nothing new.
        case $compiler-$type in clang-bzip2 | clang-xz) continue ;; esac
        rm -f o t
        n=0
        while [ $n -lt "$rounds" ]; do
            rm -rf eo et && mkdir eo et
            (cd eo && clock ../o "$ours/icecc-create-env" $compiler --compression $type)
            (cd et && clock ../t $theirs $compiler --compression $type)
            n=$((n + 1))
        done
        # shellcheck disable=SC2046
        set -- $(middle o) $(middle t) $(stat -c %s eo/*.tar* et/*.tar*)
        echo "$compiler-$type" "$1" "$3" "${pair#*:}" "$2" "$4" "$5" "$6" | awk '{
            printf "%-14s %8.2f %8.2f %7.2f %8s | %8.2f %8.2f %9.1f %9.1f %7.2f\n", $1, $2, $3, $2 / $3, "<= " $4, $5, $6, $7 / 1e6, $8 / 1e6, $7 / $8
            exit $2 > $4 * $3 }' || missed="$missed $compiler-$type"
        if [ $compiler-$type = gcc-none ]; then mv eo/*.tar plain.tar; fi
        if [ $compiler-$type = gcc-zstd ]; then ours_zstd=$2; fi
    done
done

rm -f z
n=0
while [ $n -lt "$rounds" ]; do
    clock z zstd -q -f --single-thread -3 plain.tar -o plain.zst
    n=$((n + 1))
done
# shellcheck disable=SC2046
set -- $(middle z)
echo "$ours_zstd" "$2" | awk '{ printf "\ngcc-zstd: CPU beyond the compressor alone (%.2f s): %.2f s (target <= 0.3; with the trial of its compilers)\n", $2, $1 - $2
    exit $1 - $2 > 0.3 }' || missed="$missed CPU"

# The first job: nothing made, nothing sent yet; h2 does the work.
echo 'int main(void) { return 0; }' >first.c
cold() {
    "$ours/icelab" up 2 --name "bench-env-$$" --slots 1,4 --programs "$2" >/dev/null
    clock "$1" "$ours/icelab" exec --name "bench-env-$$" h1 env ICECC_PREFERRED_HOST=h2 icecc gcc -c first.c -o first.o
    jobs=$("$ours/icelab" logs --name "bench-env-$$" | grep -c 'Remote compilation completed with exit code 0' || true)
    "$ours/icelab" down --name "bench-env-$$"
    [ "$jobs" = 1 ] || { echo "first job of $2 was not remote" >&2; exit 1; }
}
rm -f o t
n=0
while [ $n -lt "$rounds" ]; do
    cold o "$ours"
    cold t 1.4
    n=$((n + 1))
done
# shellcheck disable=SC2046
set -- $(middle o) $(middle t)
echo "$1" "$3" | awk '{ printf "first job on a cold farm: ours %.2f s, 1.4 %.2f s, ratio %.2f (target <= 0.6)\n", $1, $2, $1 / $2
    exit $1 > 0.6 * $2 }' || missed="$missed first-job"
[ -z "$missed" ] || { echo "beyond the target:$missed"; exit 1; }
