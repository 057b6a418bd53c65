//! How each type of field stands on the wire and is shown (`net/PROTOCOL.md`, Primitives).

use ice_core::env::EnvRef;
use ice_core::ids::{ClientId, HostId, JobId};
use ice_core::text::Text;
use ice_core::version::Version;

use super::Malformed;
use super::reader::Reader;
use super::writer::Writer;

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field<'m> {
    /// A u32.
    Number(u32),
    /// An i32.
    Signed(i32),
    /// A string.
    Text(&'m Text),
    /// A string list.
    Texts(Vec<&'m Text>),
    /// Pairs of platform and environment.
    Environments(&'m [EnvRef]),
}

/// A field's name and its value.
pub type Named<'m> = (&'static str, Field<'m>);

/// How a `T` is read, written and shown: one field, or several in a row. Types of fields say it for themselves; only
/// where two messages encode the same type differently does another type say it.
pub(super) trait Wire<T = Self> {
    /// Reads a value.
    fn read(r: &mut Reader<'_>, v: Version) -> Result<T, Malformed>;

    /// Writes a value.
    fn write(value: &T, w: &mut Writer<'_>, v: Version);

    /// Appends the field, which is called `name`; several fields have names of their own.
    fn show<'m>(value: &'m T, name: &'static str, v: Version, out: &mut Vec<Named<'m>>);
}

/// [`Wire::read`] of a type that says it for itself.
pub(super) fn read<T: Wire>(r: &mut Reader<'_>, v: Version) -> Result<T, Malformed> {
    T::read(r, v)
}

/// [`Wire::write`] of such a type.
pub(super) fn write<T: Wire>(value: &T, w: &mut Writer<'_>, v: Version) {
    T::write(value, w, v);
}

/// [`Wire::show`] of such a type.
pub(super) fn show<'m, T: Wire>(value: &'m T, name: &'static str, v: Version, out: &mut Vec<Named<'m>>) {
    T::show(value, name, v, out);
}

/// What a large message holds.
impl<T: Wire> Wire<Box<T>> for T {
    fn read(r: &mut Reader<'_>, v: Version) -> Result<Box<T>, Malformed> {
        read(r, v).map(Box::new)
    }

    fn write(value: &Box<T>, w: &mut Writer<'_>, v: Version) {
        write(&**value, w, v);
    }

    fn show<'m>(value: &'m Box<T>, name: &'static str, v: Version, out: &mut Vec<Named<'m>>) {
        show(&**value, name, v, out);
    }
}

/// Each row: a type that is one field; how a reader `r` reads it; how a writer `w` writes the value `n`; how that is
/// shown.
macro_rules! one_field {
    ($($type:ty: |$r:ident| $read:expr, |$n:ident, $w:ident| $write:expr, $field:expr;)*) => {$(
        impl Wire for $type {
            fn read($r: &mut Reader<'_>, _: Version) -> Result<Self, Malformed> {
                $read
            }

            fn write($n: &Self, $w: &mut Writer<'_>, _: Version) {
                $write;
            }

            fn show<'m>($n: &'m Self, name: &'static str, _: Version, out: &mut Vec<Named<'m>>) {
                out.push((name, $field));
            }
        }
    )*};
}

one_field! {
    u32: |r| r.u32(), |n, w| w.u32(*n), Field::Number(*n);
    i32: |r| r.i32(), |n, w| w.i32(*n), Field::Signed(*n);
    JobId: |r| r.u32().map(Self), |n, w| w.u32(n.0), Field::Number(n.0);
    ClientId: |r| r.u32().map(Self), |n, w| w.u32(n.0), Field::Number(n.0);
    HostId: |r| r.u32().map(Self), |n, w| w.u32(n.0), Field::Number(n.0);
    Text: |r| r.text(), |n, w| w.text(n), Field::Text(n);
    Vec<Text>: |r| r.texts(), |n, w| w.texts(n.iter()), Field::Texts(n.iter().collect());
    Vec<EnvRef>: |r| r.environments(), |n, w| w.environments(n), Field::Environments(n);
}
