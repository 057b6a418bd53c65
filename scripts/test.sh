#!/bin/sh
# All tests: installs what they need, then format, lints, documentation, the oldest compiler we support, and the tests.
# Ends with totals, in which each of the steps before the tests counts as one. What needs longer is left to scripts/prove.sh.
#
# ICE_TEST_STRICT=1: what cannot be done here has failed. On Debian as root nothing is missing.
set -eu
. "$(dirname "$0")/help.sh"
[ $# = 0 ] || wrong "unknown word $1"
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
. scripts/prepare.sh
begun=$(date +%s)
out=$(mktemp)
trap 'rm -f "$out"' EXIT
trap 'exit 130' INT TERM
failed=
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
    # Where nothing may be missing, a step that could not be taken has failed.
    [ $result != $SKIPPED ] || [ "${ICE_TEST_STRICT:-0}" != 1 ] || result=1
    case $result in
        0) verdict=ok steps_passed=$((steps_passed + 1)) ;;
        $SKIPPED) verdict=skipped steps_skipped=$((steps_skipped + 1)) ;;
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
        say "no clippy here: no lints but the compiler's"
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

# What runs the tests is a program of its own, built with the others: see bins/testrun. A shell in the background ignores interrupts,
# and what it starts would ignore them too.
run_tests() { env --default-signal=INT,QUIT "${CARGO_TARGET_DIR:-target}/debug/testrun" --totals "$out"; }

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
echo "== tests"
: >"$out"
run_tests || failed="$failed tests"
# Without totals the tests were not even built.
read -r passed broken skipped <"$out" || { passed=0 broken=1 skipped=0; }

echo
echo "left to scripts/prove.sh (too long for here): main.1 main.3 main.4 main.6 main.8 main.9 $(ls scripts/prove.d | grep -v -- - | tr "\n" " ")"
[ -z "$failed" ] || echo "FAILED:$failed"
echo "all of it took $(since "$begun") s"
broken=$((broken + steps_failed))
echo "$((passed + steps_passed)) passed, $broken failed, $((skipped + steps_skipped)) skipped"
[ -z "$failed" ] && [ $broken = 0 ]
