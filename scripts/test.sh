#!/bin/sh
# All tests: installs what they need, then format, lints, documentation, tests, and the oldest compiler we support.
# Ends with totals. What needs longer is left to scripts/prove.sh; the end says what.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
. scripts/prepare.sh
begun=$(date +%s)
out=$(mktemp)
trap 'rm -f "$out"' EXIT
failed=

# step NAME COMMAND...: runs it, notes a failure and goes on, so that one run shows all.
step() {
    name=$1
    shift
    started=$(date +%s)
    echo "== $name"
    if "$@"; then echo "== $name: ok ($(since "$started") s)"
    else
        echo "== $name: FAILED ($(since "$started") s)"
        failed="$failed $name"
    fi
}

run_tests() {
    # shellcheck disable=SC2086
    { cargo test --workspace --no-fail-fast -- $SHOW 2>&1; echo "status $?" >>"$out.status"; } | tee "$out"
    grep -q '^status 0$' "$out.status"
}

lint() {
    if ! cargo clippy --version >/dev/null 2>&1; then
        say "no clippy here (Debian packages none for this Rust): lints not run, compiler warnings only"
        RUSTFLAGS="-D warnings" cargo check -q --workspace --all-targets --target-dir target/warnings
        return
    fi
    cargo clippy -q --workspace --all-targets -- -D warnings
}

format() {
    if ! cargo fmt --version >/dev/null 2>&1; then
        say "no rustfmt here: format not checked"
        return 0
    fi
    cargo fmt --all --check
}

document() { RUSTDOCFLAGS="-D warnings" cargo doc -q --workspace --no-deps --document-private-items; }

# Debian's own 1.85, unpacked beside our build (never installed): the newest Rust here proves nothing about it.
oldest_compiler() {
    if cargo --version | grep -q "^cargo 1\.$MSRV_MINOR\."; then
        say "the tests ran with 1.$MSRV_MINOR itself"
        return 0
    fi
    folder=$root/target/msrv
    if [ ! -x "$folder/rustc" ]; then
        version=$(apt-cache madison rustc-web 2>/dev/null | sed -n "s/.*| *\(1\.$MSRV_MINOR\.[^ ]*\) .*/\1/p" | head -n 1)
        if [ -z "$version" ]; then
            say "no rustc-web 1.$MSRV_MINOR in this system's package lists: oldest compiler not checked"
            return 0
        fi
        rm -rf "$folder"
        mkdir -p "$folder/root"
        if ! (cd "$folder" && apt-get -qq download "rustc-web=$version" "libstd-rust-web-dev=$version" \
            "libstd-rust-web-1.$MSRV_MINOR=$version" libllvm19 2>/dev/null); then
            say "cannot download rustc-web $version: oldest compiler not checked"
            return 0
        fi
        for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
        rm -f "$folder"/*.deb
        lib=$folder/root/usr/lib
        printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$lib/$(uname -m)-linux-gnu:$lib/llvm-19/lib" \
            "$folder/root/usr/bin/rustc" >"$folder/rustc"
        chmod 755 "$folder/rustc"
    fi
    RUSTC=$folder/rustc cargo check -q --workspace --all-targets --target-dir "$folder/target"
}

# shellcheck disable=SC2086
need $PACKAGES_TEST
need_cargo
SHOW="--show-output"
if [ "$(id -u)" != 0 ]; then
    say "not root: labs live in a user namespace, where 1.4's daemon takes no remote jobs; those tests are skipped"
fi

step format format
step build cargo build -q --workspace --all-targets
step tests run_tests
step lints lint
step documentation document
step oldest-compiler oldest_compiler

passed=$(sed -n 's/^test result: .* \([0-9]*\) passed.*/\1/p' "$out" | awk '{n += $1} END {print n + 0}')
broken=$(sed -n 's/^test result: .* \([0-9]*\) failed.*/\1/p' "$out" | awk '{n += $1} END {print n + 0}')
skipped=$(grep -c '^skipped: ' "$out" || true)
rm -f "$out.status"
echo
if [ "$skipped" != 0 ]; then
    echo "skipped for want of something on this machine:"
    sed -n 's/^skipped: /  /p' "$out" | sort | uniq -c
fi
echo "left to scripts/prove.sh (too long for here): main.1 main.3 main.4 main.6 main.8 main.9 $(ls scripts/prove.d | tr '\n' ' ')"
echo "$passed passed, $broken failed, $skipped of the passed skipped; $(since "$begun") s"
if [ -n "$failed" ]; then
    echo "FAILED:$failed"
    exit 1
fi
