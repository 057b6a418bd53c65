//! The macros with which `messages` declares what each message looks like on the wire. One row gives the message's
//! number and name, how it is read and written, and its fields by name.
//!
//! # A row
//!
//! ```text
//! 76 JOB_BEGIN = JobBegin(JobBegin {
//!     job as "job_id",
//!     start_time,
//!     client_count if has_client_count,
//! });
//! ```
//!
//! Number and name are those of `net/PROTOCOL.md`; then comes the variant of [`Message`](ice_core::message::Message)
//! with its content:
//!
//! - `{ … }`: the variant's own fields; `{}` if it has none,
//! - `(Type { … })`: the fields of the struct in it,
//! - `(Type)`: what `Type` says itself as a [`Wire`](super::types::Wire): the fields that `fields_of!` declares because
//!   more than one message has them, or an encoding of its own in `irregular`.
//!
//! Fields stand in wire order. Each has its name in Rust, its name in `net/PROTOCOL.md` if that is another one (`as`),
//! and the fact about the version (`core/src/version.rs`) without which it does not exist (`if`): it is not written
//! then, and reads as `Default`. Its encoding follows from its type.
//!
//! # To add a message or a field
//!
//! Add the variant, struct or field to `core/src/message.rs`, the row or field to `messages`, and its description to
//! `net/PROTOCOL.md`. The compiler rejects a variant without row and a field that no row has. A new type of field is an
//! `impl` in `types`. A field that does not stand by itself (it depends on another, or is two in an old version) is a
//! type of its own in `irregular`; these macros know no exception.

/// Declares all messages. `content!` and `fields!` do the work for one row: `m` is the name for what a variant holds
/// if the row does not name its fields.
macro_rules! messages {
    ($($number:literal $name:ident = $variant:ident $content:tt;)*) => {
        $(pub(super) const $name: u32 = $number;)*

        /// The name of a message number, as in `net/PROTOCOL.md`. `None`: unknown or never sent.
        pub const fn name(number: u32) -> Option<&'static str> {
            match number {
                $($name => Some(stringify!($name)),)*
                _ => None,
            }
        }

        /// The number with which we send `message`.
        pub const fn of(message: &Message) -> u32 {
            match message {
                $(Message::$variant { .. } => $name,)*
            }
        }

        /// Decodes the fields of the message with this number.
        pub(super) fn parse(number: u32, r: &mut Reader<'_>, v: Version) -> Result<Message, Malformed> {
            Ok(match number {
                $($name => content!(read (r v) $variant $content),)*
                _ => return Err(Malformed::UnknownNumber),
            })
        }

        /// Encodes the fields of a message.
        pub(super) fn emit(message: &Message, w: &mut Writer<'_>, v: Version) {
            match message {
                $(content!(pattern m $variant $content) => content!(write m (w v) $content),)*
            }
        }

        /// Appends the fields of a message by name.
        pub(super) fn show<'m>(message: &'m Message, v: Version, out: &mut Vec<Named<'m>>) {
            match message {
                $(content!(pattern m $variant $content) => content!(show m (v out) $content),)*
            }
        }
    };
}

/// Declares the fields of a struct that more than one message has.
macro_rules! fields_of {
    ($($type:ident $fields:tt)*) => {$(
        impl Wire for $type {
            fn read(r: &mut Reader<'_>, v: Version) -> Result<Self, Malformed> {
                Ok(fields!(read (r v) Self $fields))
            }

            fn write(m: &Self, w: &mut Writer<'_>, v: Version) {
                let fields!(pattern Self $fields) = m;
                fields!(write (w v) $fields);
            }

            fn show<'m>(m: &'m Self, _: &'static str, v: Version, out: &mut Vec<Named<'m>>) {
                let fields!(pattern Self $fields) = m;
                fields!(show (v out) $fields);
            }
        }
    )*};
}

/// One thing that is done with the content of a variant, whichever of its three forms it has.
macro_rules! content {
    (read $with:tt $variant:ident ($type:ident $fields:tt)) => { Message::$variant(fields!(read $with $type $fields)) };
    (read ($r:ident $v:ident) $variant:ident ($type:ident)) => { Message::$variant(<$type as Wire<_>>::read($r, $v)?) };
    (read $with:tt $variant:ident $fields:tt) => { fields!(read $with Message::$variant $fields) };

    (pattern $m:ident $variant:ident ($type:ident $fields:tt)) => { Message::$variant(fields!(pattern $type $fields)) };
    (pattern $m:ident $variant:ident ($type:ident)) => { Message::$variant($m) };
    (pattern $m:ident $variant:ident $fields:tt) => { fields!(pattern Message::$variant $fields) };

    (write $m:ident ($w:ident $v:ident) ($type:ident)) => { <$type as Wire<_>>::write($m, $w, $v) };
    (show $m:ident ($v:ident $out:ident) ($type:ident)) => { <$type as Wire<_>>::show($m, "", $v, $out) };
    ($do:ident $m:ident $with:tt ($type:ident $fields:tt)) => { fields!($do $with $fields) };
    ($do:ident $m:ident $with:tt $fields:tt) => { fields!($do $with $fields) };
}

/// One thing that is done with each field in turn. The condition of a field that every version has is `true`.
macro_rules! fields {
    (read ($r:ident $v:ident) $($path:ident)::+ { $($field:ident $(as $name:literal)? $(if $has:ident)?),* $(,)? }) => {
        $($path)::+ { $($field: if true $(&& $v.$has())? { types::read($r, $v)? } else { Default::default() }),* }
    };
    (pattern $($path:ident)::+ { $($field:ident $(as $name:literal)? $(if $has:ident)?),* $(,)? }) => {
        $($path)::+ { $($field),* }
    };
    (write ($w:ident $v:ident) { $($field:ident $(as $name:literal)? $(if $has:ident)?),* $(,)? }) => {{
        $(if true $(&& $v.$has())? { types::write($field, $w, $v) })*
    }};
    (show ($v:ident $out:ident) { $($field:ident $(as $name:literal)? $(if $has:ident)?),* $(,)? }) => {{
        $(if true $(&& $v.$has())? { types::show($field, name!($field $($name)?), $v, $out) })*
    }};
}

/// The name of a field in `net/PROTOCOL.md`.
macro_rules! name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $name:literal) => {
        $name
    };
}

pub(super) use {content, fields, fields_of, messages, name};
