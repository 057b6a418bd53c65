#!/bin/sh
# All tests: installs what they need, then format, lints, documentation, the oldest compiler we support, and the tests.
# Ends with totals, in which each of the steps before the tests counts as one. What needs longer is left to scripts/prove.sh.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
. scripts/prepare.sh
begun=$(date +%s)
out=$(mktemp)
trap 'rm -f "$out" "$out.status" "$out.targets"' EXIT
trap 'exit 130' INT TERM
failed= repeated=
steps_passed=0 steps_failed=0 steps_skipped=0

# A step's answer where it cannot be taken here: neither passed nor failed.
SKIPPED=77

# step NAME COMMAND...: runs it, notes a failure and goes on, so that one run shows all.
step() {
    name=$1
    shift
    started=$(date +%s)
    echo "== $name"
    result=0
    "$@" || result=$?
    case $result in
        0) verdict=ok steps_passed=$((steps_passed + 1)) ;;
        "$SKIPPED") verdict=skipped steps_skipped=$((steps_skipped + 1)) ;;
        *) verdict=FAILED failed="$failed $name" steps_failed=$((steps_failed + 1)) ;;
    esac
    echo "== $name: $verdict ($(since "$started") s)"
}

format() {
    if ! cargo fmt --version >/dev/null 2>&1; then
        say "no rustfmt here: format not checked"
        return $SKIPPED
    fi
    cargo fmt --all --check
}

lint() {
    if ! cargo clippy --version >/dev/null 2>&1; then
        say "no clippy here (Debian has none for this Rust): no lints but the compiler's"
        return $SKIPPED
    fi
    cargo clippy -q --workspace --all-targets -- -D warnings
}

document() {
    if ! command -v rustdoc >/dev/null; then
        say "no rustdoc here: documentation not built"
        return $SKIPPED
    fi
    RUSTDOCFLAGS="-D warnings" cargo doc -q --workspace --no-deps --document-private-items
}

# Debian's own 1.85, unpacked beside our build (never installed): the newest Rust here proves nothing about it.
oldest_compiler() {
    if cargo --version | grep -q "^cargo 1\.$MSRV_MINOR\."; then
        say "all is built with 1.$MSRV_MINOR itself"
        return 0
    fi
    folder=$root/target/msrv
    rustc=$folder/root/usr/bin/rustc lib=$folder/root/usr/lib
    if [ ! -x "$rustc" ]; then
        version=$(apt-cache madison rustc-web 2>/dev/null | sed -n "s/.*| *\(1\.$MSRV_MINOR\.[^ ]*\) .*/\1/p" | head -n 1)
        if [ -z "$version" ]; then
            say "no rustc-web 1.$MSRV_MINOR in this system's package lists: oldest compiler not checked"
            return $SKIPPED
        fi
        rm -rf "$folder"
        mkdir -p "$folder/root"
        if ! (cd "$folder" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download "rustc-web=$version" \
            "libstd-rust-web-dev=$version" "libstd-rust-web-1.$MSRV_MINOR=$version" libllvm19 2>/dev/null); then
            say "cannot download rustc-web $version: oldest compiler not checked"
            return $SKIPPED
        fi
        for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
        rm -f "$folder"/*.deb
    fi
    # No script around it: a shell would drop variables that are no names to it, as CARGO_BIN_EXE_icecc-create-env.
    LD_LIBRARY_PATH=$lib/$(uname -m)-linux-gnu:$lib/llvm-19/lib RUSTC=$rustc \
        cargo check -q --workspace --all-targets --target-dir "$folder/target"
}

# Not one warning, also where there is no clippy.
build() {
    result=0
    cargo build -q --workspace --all-targets 2>"$out" || result=$?
    cat "$out"
    ! grep -q '^warning' "$out" || result=1
    return $result
}

# What tests that pass have to say is kept for the count of what was skipped, and not shown.
run_tests() {
    { cargo test -q --workspace --no-fail-fast -- --show-output 2>&1; echo $? >"$out.status"; } | tee "$out" |
        awk '/^successes:$/ { quiet = 1 } /^failures:$|^test result:/ { quiet = 0 } !quiet'
    [ "$(cat "$out.status")" = 0 ] || repeat_tests
}

# A machine busy with other work makes waits too short: failed tests run again, one at a time. The end says how many passed only
# then.
repeat_tests() {
    targets=$(sed -n 's/^ *`\(-p [^`]*\)`$/\1/p; s/.*to rerun pass `\(-p [^`]*\)`.*/\1/p' "$out" | sort -u)
    [ -n "$targets" ] || return 1
    echo "$targets" >"$out.targets"
    # Those that the harness names at the end; a program without a harness runs as a whole.
    failures=$(awk '
        /^failures:$/ { names = ""; next }
        /^    [a-z0-9_:]+$/ { names = names " " $1 }
        /^test result: FAILED/ { all = all names; names = "" }
        END { print all }' "$out")
    while read -r target; do
        # shellcheck disable=SC2086
        again $target || { sleep 20; again $target; } || return 1
    done <"$out.targets"
    repeated=yes
}

again() {
    echo "== again, one test at a time: $*"
    # shellcheck disable=SC2086
    cargo test -q "$@" -- --test-threads=1 --exact $failures </dev/null
}

# shellcheck disable=SC2086
need $PACKAGES_TEST
need_cargo
if [ "$(id -u)" != 0 ]; then
    say "not root: labs live in a user namespace, where 1.4's daemon takes no remote jobs; those tests are skipped"
fi

step format format
step lints lint
step documentation document
step oldest-compiler oldest_compiler
step build build
counted="$steps_passed $steps_failed $steps_skipped"
step tests run_tests

# Passed, failed, ignored of the harness; a test of two programs without one is a line of theirs. A test that could do
# nothing here prints why and passes for the harness: it is counted as skipped instead.
set -- $counted $(awk '
    /^test result: / { passed += $4; failed += $6 }
    /^---- .* stdout ----$/ { fresh = 1 }
    /^skipped: / { if (fresh) skipped++; fresh = 0 }
    /^(escape|launcher) as / { alone[/: ok$/ ? "ok" : / skipped: / ? "skipped" : /NOT REFUSED$/ ? "bad" : "head"]++ }
    /^(escape|launcher): FAILED/ { if (!alone["bad"]) failed++ }
    END { print passed - skipped + alone["ok"], failed + alone["bad"], skipped + alone["skipped"] }' "$out")
echo
sed -n 's/^skipped: /  skipped: /p; s/^\(escape\|launcher\)\( as [^:]*\)\{0,1\}: .*skipped: /  skipped: /p' "$out" | sort | uniq -c
echo "left to scripts/prove.sh (too long for here): main.1 main.3 main.4 main.6 main.8 main.9 $(ls scripts/prove.d | grep -v -- - | tr "\n" " ")"
[ -z "$failed" ] || echo "FAILED:$failed"
echo "all of it took $(since "$begun") s"
passed=$(($1 + $4)) broken=$(($2 + $5)) skipped=$(($3 + $6))
if [ -n "$repeated" ]; then
    echo "passed only when run once more, one at a time: $5"
    passed=$((passed + $5)) broken=$2
fi
# A test that could not even be built fails too.
[ -z "$failed" ] || [ $broken != 0 ] || broken=1
echo "$passed passed, $broken failed, $skipped skipped"
[ $broken = 0 ]
