#!/bin/sh
# Makes a Debian package that takes the place of icecc 1.4: its paths, settings, account and enabled services stay.
#
#   scripts/package.sh [--output FOLDER] [--version V] [--architecture A] [--static] [--programs FOLDER] [--dry-run]
#
# The package is FOLDER/icecream-rs_V_A.deb (default: the current folder, the version of this project, this machine's architecture).
# A: amd64, arm64 or armhf. --static: FOLDER/icecream-rs-V-A.tar.gz instead, with programs that need no libraries (musl) and the
# scripts that install them. Programs are built unless a folder of built ones is given; for another architecture that needs its cross
# compiler (gcc-aarch64-linux-gnu, gcc-arm-linux-gnueabihf) and Rust's target (rustup target add). --dry-run: shows what would be made.
set -eu
. "$(dirname "$0")/help.sh"
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/prepare.sh"
output=. version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1) programs= static=no dry=no
own=$(dpkg --print-architecture 2>/dev/null || echo amd64)
architecture=$own
while [ $# -gt 0 ]; do
    case $1 in
        --output) wants "$1" "a folder" $#; output=$2; shift ;;
        --version) wants "$1" "a version" $#; version=$2; shift ;;
        --architecture) wants "$1" "amd64, arm64 or armhf" $#; architecture=$2; shift ;;
        --static) static=yes ;;
        --programs) wants "$1" "a folder" $#; programs=$2; shift ;;
        --dry-run) dry=yes ;;
        -h | --help) usage ;;
        *) wrong "unknown option $1" ;;
    esac
    shift
done
case $architecture in
    amd64) target=x86_64-unknown-linux-gnu tools=x86_64-linux-gnu ;;
    arm64) target=aarch64-unknown-linux-gnu tools=aarch64-linux-gnu ;;
    armhf) target=armv7-unknown-linux-gnueabihf tools=arm-linux-gnueabihf ;;
    *) wrong "--architecture wants amd64, arm64 or armhf, not \"$architecture\"" ;;
esac
file=$output/icecream-rs_${version}_$architecture.deb
if [ $static = yes ]; then
    target=$(echo $target | sed s/gnu/musl/)
    file=$output/icecream-rs-$version-$architecture.tar.gz
fi
if [ $dry = yes ]; then
    [ -n "$programs" ] || echo "+ cargo build --release --target $target"
    echo "+ write $file"
    exit 0
fi

# Built for this machine, they are where every release build puts them.
build() {
    need_cargo
    if [ "$architecture$static" = "${own}no" ]; then
        (cd "$root" && cargo build -q --release --bins)
        programs=${CARGO_TARGET_DIR:-$root/target}/release
        return
    fi
    linker=$tools-gcc
    # What Rust has for musl links by itself; another architecture's object files want their own linker.
    [ "$architecture" = "$own" ] || need $tools-gcc:gcc-$tools
    if [ "$architecture" = "$own" ]; then linker=cc; need musl-gcc:musl-tools; fi
    name=$(echo $target | tr a-z- A-Z_)
    (cd "$root" && env "CARGO_TARGET_${name}_LINKER=$linker" "CC_$(echo $target | tr - _)=$linker" \
        cargo build -q --release --bins --target $target) ||
        { say "no programs for $target: rustup target add $target" >&2; exit 1; }
    programs=${CARGO_TARGET_DIR:-$root/target}/$target/release
}
[ -n "$programs" ] || build
need dpkg-deb:dpkg strip:binutils objdump:binutils
prefix=
[ "$architecture" = "$own" ] || prefix=$tools-

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$tree"

# The tarball: programs and what installs them.
if [ $static = yes ]; then
    top=$tree/icecream-rs-$version-$architecture
    mkdir -p "$top/programs" "$top/scripts" "$output"
    for program in icecc icerun icecc-create-env icecc-test-env icedump icetop iceccd icecc-scheduler; do
        install -m 755 "$programs/$program" "$top/programs"
        ${prefix}strip --strip-unneeded "$top/programs/$program"
        if ${prefix}objdump -p "$top/programs/$program" | grep -q NEEDED; then say "$program needs libraries: it is not static" >&2; exit 1; fi
    done
    for name in help.sh prepare.sh install.sh setup-host.sh setup-ccache.sh setup-cross.sh uninstall.sh service man completions; do
        cp -r "$root/scripts/$name" "$top/scripts"
    done
    cp "$root"/*.md "$root"/LICENSE-* "$top"
    tar -C "$tree" --owner=0 --group=0 --sort=name -czf "$file" "${top##*/}"
    say "made $file"
    exit 0
fi
"$root/scripts/install.sh" --prefix /usr --debian --destdir "$tree" --programs "$programs"
${prefix}strip --strip-unneeded "$tree"/usr/bin/* "$tree"/usr/sbin/*
ln -f "$tree/usr/bin/icecc" "$tree/usr/lib/icecc/icecc"
# They are made for the compilers of each machine.
rm "$tree"/usr/lib/icecc/bin/*
# dpkg has a list of its own.
rm "$tree/usr/lib/icecc/installed"
gzip -9n "$tree"/usr/share/man/man?/*
# Not a conffile: dpkg would ask about one that was edited for 1.4. It is copied where there is none.
mkdir -p "$tree/usr/share/icecream-rs" "$tree/usr/share/doc/icecream-rs" "$tree/DEBIAN"
mv "$tree/etc/icecc/icecc.conf" "$tree/usr/share/icecream-rs"
rmdir "$tree/etc/icecc"
cp "$root/README.md" "$root/GUIDE.md" "$root/CHANGELOG.md" "$root"/LICENSE-* "$tree/usr/share/doc/icecream-rs"
(cd "$tree" && find etc -type f | sed 's|^|/|' | sort) >"$tree/DEBIAN/conffiles"
install -m 644 "$root/scripts/debian/triggers" "$tree/DEBIAN"
for name in postinst prerm postrm; do install -m 755 "$root/scripts/debian/$name" "$tree/DEBIAN/$name"; done
# The newest symbols of the C library that the programs want.
libc=$(${prefix}objdump -T "$tree"/usr/bin/icecc "$tree"/usr/bin/icetop "$tree"/usr/sbin/* | sed -n 's/.*GLIBC_\([0-9][0-9.]*\).*/\1/p' | sort -uV | tail -n 1)
sed "s/@version@/$version/; s/@architecture@/$architecture/; s/@libc@/${libc:-2.36}/" "$root/scripts/debian/control" >"$tree/DEBIAN/control"
chmod 644 "$tree"/DEBIAN/co*
mkdir -p "$output"
dpkg-deb --root-owner-group --build "$tree" "$file" >/dev/null
say "made $file"
