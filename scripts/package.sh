#!/bin/sh
# Makes a Debian package that takes the place of icecc 1.4: its paths, settings, account and enabled services stay.
#
#   scripts/package.sh [--output FOLDER] [--version V] [--programs FOLDER]
#
# The package is FOLDER/icecream-rs_V_ARCHITECTURE.deb (default: the current folder, the version of this project). Programs are built
# unless a folder of built ones is given.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/prepare.sh"
output=. version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1) programs=
while [ $# -gt 0 ]; do
    case $1 in
        --output) output=${2?"--output wants a folder"}; shift ;;
        --version) version=${2?"--version wants a version"}; shift ;;
        --programs) programs=${2?"--programs wants a folder"}; shift ;;
        *) sed -n 's/^# \{0,1\}//; 2,7p' "$0"; exit 2 ;;
    esac
    shift
done
need dpkg-deb:dpkg strip:binutils objdump:binutils

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$tree"
"$root/scripts/install.sh" --prefix /usr --debian --destdir "$tree" ${programs:+--programs "$programs"}
strip --strip-unneeded "$tree"/usr/bin/* "$tree"/usr/sbin/*
ln -f "$tree/usr/bin/icecc" "$tree/usr/lib/icecc/icecc"
# They are made for the compilers of each machine.
rm "$tree"/usr/lib/icecc/bin/*
gzip -9n "$tree"/usr/share/man/man?/*
# Not a conffile: dpkg would ask about one that was edited for 1.4. It is copied where there is none.
mkdir -p "$tree/usr/share/icecream-rs" "$tree/usr/share/doc/icecream-rs" "$tree/DEBIAN"
mv "$tree/etc/icecc/icecc.conf" "$tree/usr/share/icecream-rs"
rmdir "$tree/etc/icecc"
cp "$root/README.md" "$root/CHANGELOG.md" "$root"/LICENSE-* "$tree/usr/share/doc/icecream-rs"
(cd "$tree" && find etc -type f | sed 's|^|/|' | sort) >"$tree/DEBIAN/conffiles"
install -m 644 "$root/scripts/debian/triggers" "$tree/DEBIAN"
for name in postinst prerm postrm; do install -m 755 "$root/scripts/debian/$name" "$tree/DEBIAN/$name"; done
architecture=$(dpkg --print-architecture)
# The newest symbols of the C library that the programs want.
libc=$(objdump -T "$tree"/usr/bin/icecc "$tree"/usr/bin/icetop "$tree"/usr/sbin/* | sed -n 's/.*GLIBC_\([0-9][0-9.]*\).*/\1/p' | sort -uV | tail -n 1)
sed "s/@version@/$version/; s/@architecture@/$architecture/; s/@libc@/${libc:-2.36}/" "$root/scripts/debian/control" >"$tree/DEBIAN/control"
chmod 644 "$tree"/DEBIAN/co*
mkdir -p "$output"
dpkg-deb --root-owner-group --build "$tree" "$output/icecream-rs_${version}_$architecture.deb" >/dev/null
say "made $output/icecream-rs_${version}_$architecture.deb"
