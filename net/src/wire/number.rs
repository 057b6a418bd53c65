//! The numbers and names of messages (`net/PROTOCOL.md`, Messages).

use ice_core::message::Message;
use std::fmt;

macro_rules! numbers {
    ($($name:ident = $n:literal;)*) => {
        $(pub(crate) const $name: u32 = $n;)*

        /// The name of a message number, as in `net/PROTOCOL.md`. `None`: unknown or never sent.
        pub const fn name(number: u32) -> Option<&'static str> {
            match number {
                $($n => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

numbers! {
    PING = 66;
    END = 67;
    GET_NATIVE_ENV = 69;
    NATIVE_ENV = 70;
    GET_CS = 71;
    USE_CS = 72;
    COMPILE_FILE = 73;
    FILE_CHUNK = 74;
    COMPILE_RESULT = 75;
    JOB_BEGIN = 76;
    JOB_DONE = 77;
    JOB_LOCAL_BEGIN = 78;
    JOB_LOCAL_DONE = 79;
    LOGIN = 80;
    STATS = 81;
    MON_LOGIN = 82;
    MON_GET_CS = 83;
    MON_JOB_BEGIN = 84;
    MON_JOB_DONE = 85;
    MON_LOCAL_JOB_BEGIN = 86;
    MON_STATS = 87;
    TRANSFER_ENV = 88;
    STATUS_TEXT = 90;
    GET_INTERNALS = 91;
    CS_CONF = 92;
    VERIFY_ENV = 93;
    VERIFY_ENV_RESULT = 94;
    BLACKLIST_HOST_ENV = 95;
    NO_CS = 96;
}

/// The number with which we send `message`.
pub const fn of(message: &Message) -> u32 {
    match message {
        Message::Ping => PING,
        Message::End => END,
        Message::GetNativeEnv(_) => GET_NATIVE_ENV,
        Message::NativeEnv { .. } => NATIVE_ENV,
        Message::GetCs(_) => GET_CS,
        Message::UseCs(_) => USE_CS,
        Message::NoCs { .. } => NO_CS,
        Message::CompileFile(_) => COMPILE_FILE,
        Message::FileChunk(_) => FILE_CHUNK,
        Message::CompileResult(_) => COMPILE_RESULT,
        Message::JobBegin(_) => JOB_BEGIN,
        Message::JobDone(_) => JOB_DONE,
        Message::JobLocalBegin(_) => JOB_LOCAL_BEGIN,
        Message::JobLocalDone { .. } => JOB_LOCAL_DONE,
        Message::Login(_) => LOGIN,
        Message::Stats(_) => STATS,
        Message::MonLogin => MON_LOGIN,
        Message::MonGetCs(_) => MON_GET_CS,
        Message::MonJobBegin(_) => MON_JOB_BEGIN,
        Message::MonJobDone(_) => MON_JOB_DONE,
        Message::MonLocalJobBegin(_) => MON_LOCAL_JOB_BEGIN,
        Message::MonStats(_) => MON_STATS,
        Message::TransferEnv(_) => TRANSFER_ENV,
        Message::StatusText { .. } => STATUS_TEXT,
        Message::GetInternals => GET_INTERNALS,
        Message::CsConf(_) => CS_CONF,
        Message::VerifyEnv(_) => VERIFY_ENV,
        Message::VerifyEnvResult { .. } => VERIFY_ENV_RESULT,
        Message::BlacklistHostEnv(_) => BLACKLIST_HOST_ENV,
    }
}

/// A message number that is printed as its name, or as `message N`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named(pub u32);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "message {}", self.0),
        }
    }
}
