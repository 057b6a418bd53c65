#!/bin/sh
# A real project built across three hosts: makes a lab, fetches lua5.4 (C) and fmtlib (C++) as Debian sources, builds them
# with make -j16 through icecc, and compares with a plain local build.
#
#   scripts/demo.sh [--programs 1.4|FOLDER] [--jobs N] [--generated]
#
# Built as the tests are, to share their build; PROFILE=release scripts/demo.sh takes minutes longer to build.
set -eu
. "$(dirname "$0")/help.sh"
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/prepare.sh"
programs= jobs=16 generated=no
while [ $# -gt 0 ]; do
    case $1 in
        --programs) wants "$1" "1.4 or a folder" $#; programs=$2; shift ;;
        --jobs) wants "$1" "a number" $#; jobs=$2; shift ;;
        --generated) generated=yes ;;
        -h | --help) usage ;;
        *) wrong "unknown option $1" ;;
    esac
    shift
done

begun=$(date +%s)
# shellcheck disable=SC2086
need $PACKAGES_DEMO xz:xz-utils
need_cargo
say "building the programs"
profile=${PROFILE:-dev}
(cd "$root" && cargo build -q --profile "$profile" --bins)
folder=$profile
[ "$profile" != dev ] || folder=debug
icelab=${CARGO_TARGET_DIR:-$root/target}/$folder/icelab
say "built in $(since "$begun") s"
[ -n "$programs" ] || programs=${icelab%/*}

work=$(mktemp -d)
lab=demo-$$
finish() {
    result=$?
    trap - EXIT INT TERM
    if [ $result != 0 ] && [ -e "/tmp/icelab-$(id -u)-$lab" ]; then "$icelab" logs --name $lab || true; fi
    "$icelab" down --name $lab 2>/dev/null || true
    rm -rf "$work"
    exit $result
}
trap finish EXIT
trap 'exit 130' INT TERM

# Debian's sources by a private list made of the system's own, so that the system's set-up stays as it is.
fetch_sources() {
    command -v apt-get >/dev/null || return 1
    mkdir -p "$work/apt/parts" "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/down"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -e "$file" ] || continue
        sed -n 's/^deb /deb-src /p' "$file" >"$work/apt/parts/$(basename "$file" .list).list"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -e "$file" ] || continue
        sed 's/^Types:.*/Types: deb-src/' "$file" >"$work/apt/parts/$(basename "$file")"
    done
    (cd "$work/down" && for action in update "source --download-only lua5.4 fmtlib"; do
        # shellcheck disable=SC2086
        apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/apt/parts" \
            -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt/cache" \
            -o APT::Sandbox::User="$(id -un)" $action >/dev/null 2>"$work/apt/error" || return 1
    done)
    for name in lua5.4 fmtlib; do
        mkdir -p "$work/src/$name"
        tar -xf "$work/down/$name"_*.orig.tar.* -C "$work/src/$name" --strip-components=1 || return 1
    done
}

project_of_debian() {
    cd "$work/src"
    rm lua5.4/src/luac.c lua5.4/src/lua.c
    cat >demo-main.cc <<'END'
#include <fmt/core.h>
extern "C" {
#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"
}
int main() {
    lua_State* state = luaL_newstate();
    luaL_openlibs(state);
    luaL_dostring(state, "local s = 0 for i = 1, 100 do s = s + i * i end return s");
    fmt::print("{} computes the sum of squares to 100: {}\n", LUA_RELEASE, lua_tointeger(state, -1));
    lua_close(state);
}
END
    for file in fmtlib/src/format.cc fmtlib/src/os.cc lua5.4/src/*.c demo-main.cc; do echo "$file"; done >files
    # Further readers of the same heavy headers, one per job, as a project of some size has them.
    for n in $(seq 1 24); do
        printf '#include <fmt/format.h>\n#include <fmt/ranges.h>\n#include <fmt/chrono.h>\n#include <map>\nstd::string demo%s(int x) { return fmt::format("{:>{}} {}", x, %s, std::map<int,int>{{x, %s}}); }\n' \
            "$n" "$n" "$n" >reader$n.cc
        echo reader$n.cc >>files
    done
    flags="-Ifmtlib/include -Ilua5.4/src -DLUA_USE_POSIX"
    expected="Lua 5.4"
}

project_generated() {
    mkdir -p "$work/src"
    cd "$work/src"
    : >files
    for n in $(seq 1 30); do
        { echo '#include <stdio.h>'; echo '#include <stdlib.h>'
          for k in $(seq 1 120); do echo "int c${n}_$k(int x) { for (int i = 0; i < x; i++) x += i * $k ^ $n; return x % 97; }"; done
          echo "int c$n(int x) { return c${n}_1(x) + c${n}_120(x); }"; } >c$n.c
        { echo '#include <map>'; echo '#include <string>'; echo '#include <vector>'; echo '#include <algorithm>'
          echo "extern \"C\" int p$n(int x) { std::map<std::string, std::vector<int>> m; m[std::to_string(x)] = {3, $n, 1};"
          echo "  auto& v = m.begin()->second; std::sort(v.begin(), v.end()); return v.back(); }"; } >p$n.cc
        printf 'c%s.c\np%s.cc\n' "$n" "$n" >>files
    done
    { echo '#include <stdio.h>'
      for n in $(seq 1 30); do echo "int c$n(int); int p$n(int);"; done
      echo 'int main(void) { int s = 0;'
      for n in $(seq 1 30); do echo "s += c$n($n) + p$n($n);"; done
      # Not echo, which turns the two characters into a line's end in some shells.
      printf '%s\n' 'printf("sum of all: %d\n", s); return 0; }'; } >main.c
    echo main.c >>files
    flags=
    expected="sum of all"
}

if [ $generated = no ] && fetch_sources; then
    say "sources of Debian: lua5.4 and fmtlib"
    project_of_debian
else
    [ $generated = yes ] || say "no source packages: $(tail -n 1 "$work/apt/error" 2>/dev/null || echo 'no apt')"
    say "61 generated files"
    project_generated
fi
count=$(wc -l <files)
{
    printf 'OBJECTS := $(addprefix $(O)/,$(addsuffix .o,%s))\n' "$(tr '\n' ' ' <files)"
    printf 'all: $(O)/program\n$(O)/program: $(OBJECTS)\n\tg++ -o $@ $^ -lm -ldl\n'
    printf '$(O)/%%.c.o: %%.c\n\t@mkdir -p $(@D)\n\t$(CC) -O2 %s -c $< -o $@\n' "$flags"
    printf '$(O)/%%.cc.o: %%.cc\n\t@mkdir -p $(@D)\n\t$(CXX) -std=c++17 -O2 %s -c $< -o $@\n' "$flags"
} >Makefile

"$icelab" up 3 --name $lab --slots 2,4,4 --programs "$programs"
# The first job makes and ships the environment: not what this is to measure.
"$icelab" exec --name $lab h1 sh -c 'echo "int warm;" >warm.c; for host in h2 h3; do ICECC_PREFERRED_HOST=$host icecc gcc -c warm.c -o warm.o; done'
count_remote() {
    "$icelab" exec --name $lab "$1" sh -c 'grep -c "Remote compilation completed with exit code 0" /var/log/icecc/iceccd.log || true'
}
for host in 1 2 3; do eval "before$host=$(count_remote h$host)"; done

milliseconds() { echo $(($(date +%s%N) / 1000000)); }
start=$(milliseconds)
"$icelab" exec --name $lab h1 make -s -j"$jobs" O=remote CC='icecc gcc' CXX='icecc g++'
remote_ms=$(($(milliseconds) - start))
start=$(milliseconds)
make -s -j"$jobs" O=local CC=gcc CXX=g++
local_ms=$(($(milliseconds) - start))

elsewhere=0
echo
echo "host   slots  remote jobs done there"
for host in 1 2 3; do
    eval "done=\$((\$(count_remote h$host) - before$host))"
    slots=4
    [ $host != 1 ] || slots=2
    printf 'h%s     %5s  %5s\n' "$host" "$slots" "$done"
    [ $host = 1 ] || elsewhere=$((elsewhere + done))
done
# A job that failed elsewhere would have been built again on h1, silently.
failed=$(cat "/tmp/icelab-$(id -u)-$lab"/h*/log/icecc/iceccd.log | grep -c "Remote compilation \(aborted\|exited\|failed\)" || true)
different=
while read -r file; do
    cmp -s "remote/$file.o" "local/$file.o" || different="$different $file"
done <files
share=$((elsewhere * 100 / count))
echo "jobs: $count, of which $elsewhere ($share %) on other hosts, $((count - elsewhere)) on h1 itself"
echo "wall: $((remote_ms / 1000)).$(printf %03d $((remote_ms % 1000))) s on the lab, $((local_ms / 1000)).$(printf %03d $((local_ms % 1000))) s plain (one machine with $(nproc) processors carries all hosts)"
said=$(remote/program)
echo "the program says: $said"
result=0
if [ -z "$different" ]; then echo "objects: all $count identical to the local build's"
else echo "objects that differ:$different"; result=1; fi
case $said in *"$expected"*) ;; *) echo "that is not what it should say"; result=1 ;; esac
[ "$failed" = 0 ] || { echo "remote jobs that failed: $failed"; result=1; }
[ $share -ge 60 ] || { echo "fewer than 60 % of the jobs ran on other hosts"; result=1; }
[ $result != 0 ] || echo "no job failed"
say "done in $(since "$begun") s"
exit $result
