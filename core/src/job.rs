//! Properties of a job that all roles use.

use std::fmt;

/// Language of a source file, as in GET_CS and COMPILE_FILE (`net/PROTOCOL.md`, Messages).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// C, number 0.
    #[default]
    C,
    /// C++, number 1.
    Cxx,
    /// Objective-C, number 2.
    ObjC,
    /// Objective-C++, number 3.
    ObjCxx,
}

impl Language {
    /// The language with this wire number; `None` for *custom* (4) and unknown numbers.
    pub const fn from_number(n: u32) -> Option<Self> {
        match n {
            0 => Some(Self::C),
            1 => Some(Self::Cxx),
            2 => Some(Self::ObjC),
            3 => Some(Self::ObjCxx),
            _ => None,
        }
    }

    /// Its number on the wire.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The value for the compiler's option `-x`.
    pub const fn option(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Cxx => "c++",
            Self::ObjC => "objective-c",
            Self::ObjCxx => "objective-c++",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::C => "C",
            Self::Cxx => "C++",
            Self::ObjC => "ObjC",
            Self::ObjCxx => "ObjC++",
        })
    }
}

/// Statistics of a finished job, as in JOB_DONE. Times are in milliseconds, sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobStats {
    /// Wall time.
    pub real_ms: u32,
    /// CPU time in user mode, including child processes.
    pub user_ms: u32,
    /// CPU time in the kernel, including child processes.
    pub sys_ms: u32,
    /// Number of page faults.
    pub page_faults: u32,
    /// Compressed size of the source.
    pub in_compressed: u32,
    /// Size of the source.
    pub in_uncompressed: u32,
    /// Compressed size of the object.
    pub out_compressed: u32,
    /// Size of the object.
    pub out_uncompressed: u32,
}

#[cfg(test)]
mod tests {
    use super::Language;

    #[test]
    fn each_language_has_a_number_a_word_and_a_name() {
        for (number, option, name) in
            [(0, "c", "C"), (1, "c++", "C++"), (2, "objective-c", "ObjC"), (3, "objective-c++", "ObjC++")]
        {
            let language = Language::from_number(number).unwrap();
            assert_eq!((language.number(), language.option(), language.to_string().as_str()), (number, option, name));
        }
        assert_eq!([4, 5, u32::MAX].map(Language::from_number), [None; 3]);
        assert_eq!(Language::default(), Language::C);
    }
}
