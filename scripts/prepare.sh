#!/bin/sh
# Installs what the other scripts need and finds a compiler of Rust; they source it. Says what it cannot install.
set -eu

# Debian's package of each program.
PACKAGES_DEMO="gcc:gcc g++:g++ make:make ip:iproute2 nsenter:util-linux"
PACKAGES_TEST="$PACKAGES_DEMO clang:clang musl-gcc:musl-tools ccache:ccache /usr/sbin/iceccd:icecc /usr/sbin/logrotate:logrotate
cmake:cmake ninja:ninja-build arm-linux-gnueabihf-g++:g++-arm-linux-gnueabihf groff:groff-base man:man-db unshare:util-linux zsh:zsh fish:fish"
PACKAGES_CROSS="arm-linux-gnueabihf-gcc:gcc-arm-linux-gnueabihf arm-linux-gnueabihf-g++:g++-arm-linux-gnueabihf
aarch64-linux-gnu-g++:g++-aarch64-linux-gnu qemu-arm-static:qemu-user-static"
MSRV_MINOR=85

say() { echo "$(basename "$0"): $*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"
    else return 1
    fi
}

# A mirror may fail for a moment, and another apt may hold the lock.
apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=5 "$@" >/dev/null; }

# Installs packages without letting them start services (icecc's would join a network).
install_packages() {
    command -v apt-get >/dev/null || return 1
    policy=/usr/sbin/policy-rc.d
    made_policy=no
    if [ ! -e $policy ]; then
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy" || return 1
        made_policy=yes
    fi
    result=1
    for pause in 5 15 30 0; do
        if apt update && apt -y --no-install-recommends -o Dpkg::Use-Pty=0 install "$@"; then
            result=0
            break
        fi
        sleep $pause
    done
    if [ $made_policy = yes ]; then as_root rm -f $policy; fi
    return $result
}

# need PROGRAM:PACKAGE...: installs the packages of programs that are missing.
need() {
    missing=
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    # shellcheck disable=SC2086
    install_packages $missing || say "cannot install$missing: no apt, no network or no root; going on without"
}

cargo_is_new_enough() {
    minor=$(cargo --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\)\..*/\1/p')
    [ -n "$minor" ] && [ "$minor" -ge $MSRV_MINOR ]
}

# Debian's newest Rust, where there is none of the version this project needs.
need_cargo() {
    if ! cargo_is_new_enough && [ -x "${HOME:-/nonexistent}/.cargo/bin/cargo" ]; then
        PATH="$HOME/.cargo/bin:$PATH"
    fi
    cargo_is_new_enough && return 0
    say "no cargo 1.$MSRV_MINOR or later: installing Debian's"
    install_packages rustc-web cargo-web || true
    if ! cargo_is_new_enough; then
        say "cargo 1.$MSRV_MINOR or later is needed (Debian 12: rustc-web and cargo-web; else https://rustup.rs)" >&2
        exit 1
    fi
}

# show ARGUMENT...: `cargo test` with these arguments, whose tests show what they find. That no test is run, or one is skipped, is a
# failure: then nothing was shown. Tests of ice-bins run icelab, a program of another package, which cargo does not build for them.
show() {
    case " $* " in
        *" --release "*" -p ice-bins "*) cargo build -q --release --bins || return 1 ;;
        *" -p ice-bins "*) cargo build -q --bins || return 1 ;;
    esac
    show_said=$(mktemp)
    show_result=0
    { cargo test -q "$@" 2>&1 || echo "cargo test: FAILED"; } | tee "$show_said"
    ! grep -q '^cargo test: FAILED$' "$show_said" || show_result=1
    grep -q '^test result: ok\. [1-9]' "$show_said" || { say "no test was run: $*" >&2; show_result=1; }
    ! grep -q '^skipped: ' "$show_said" || { say "something was skipped: $*" >&2; show_result=1; }
    rm -f "$show_said"
    return $show_result
}

# Seconds from a time given by `date +%s` until now.
since() { echo $(($(date +%s) - $1)); }
