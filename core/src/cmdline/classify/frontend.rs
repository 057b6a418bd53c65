//! `-Xclang`: what clang's driver hands to the compiler behind it.

use super::super::Side;
use super::super::effect::{Does, Fact};
use super::super::options;
use super::super::question::Stop::{self, Stay};
use super::super::spelling::Argument;
use super::Scan;
use crate::reason::Reason;

impl<'a> Scan<'a> {
    pub(super) fn xclang(&mut self, argument: &Argument<'a>) -> Result<(), Stop> {
        let Some(value) = argument.value else {
            self.keep_all(Side::Malformed, argument);
            return Ok(());
        };
        match value {
            b"-P" => Err(Stay(Reason::Preprocessor, value.to_vec())),
            // The word behind it would be taken for the file's name.
            b"-main-file-name" => Err(Stay(Reason::SourceName, value.to_vec())),
            // It changes the source.
            _ if value.starts_with(b"-fixit") => Err(Stay(Reason::SideFile, value.to_vec())),
            b"-analyzer-config-help" | b"-print-dependency-directives-minimized-source" => {
                Err(Stay(Reason::NoObject, value.to_vec()))
            }
            b"-building-pch-with-obj" | b"-emit-pch" => Err(Stay(Reason::Modules, value.to_vec())),
            b"-load" => {
                let Some(file) = self.xclang_value() else {
                    self.keep_all(Side::Malformed, argument);
                    return Ok(());
                };
                let whole = self.extra_file(file).ok_or_else(|| Stay(Reason::FileMissing, file.to_vec()))?;
                self.keep_all(Side::Rest, argument);
                self.keep_with(Side::Rest, b"-Xclang", &whole);
                Ok(())
            }
            // CMake's way to use a precompiled header: the header behind it is included as text, as for `-include-pch`.
            b"-include" | b"-include-pch" | b"-imacros" | b"-dependency-file" | b"-MT" => {
                let before = self.words.len();
                self.keep_all(Side::Local, argument);
                if let Some(file) = self.xclang_value() {
                    self.keep_with(Side::Local, b"-Xclang", file);
                    match value {
                        b"-include-pch" => self.precompiled.push(file),
                        b"-include" => self.included.push(file),
                        b"-dependency-file" => self.inner_dependency_files.push(file.to_vec()),
                        _ => {}
                    }
                }
                if value == b"-include-pch" {
                    self.hide_from(before);
                }
                if value == b"-imacros" {
                    self.facts.set(Fact::Macros, true);
                }
                Ok(())
            }
            _ => match options::find(value).filter(|_| means_the_same(value)).map(|opt| opt.does) {
                // What the driver must not be told elsewhere, the compiler behind it must not either; other words may mean
                // something else to it.
                Some(Does::Stays(reason)) => Err(Stay(reason, value.to_vec())),
                does => {
                    if does == Some(Does::Says(Fact::Ranges, true)) {
                        self.facts.set(Fact::Ranges, true);
                    }
                    self.keep_all(Side::Rest, argument);
                    Ok(())
                }
            },
        }
    }

    /// The value of an option handed on by `-Xclang`, if it is handed on too.
    fn xclang_value(&mut self) -> Option<&'a [u8]> {
        match self.rest {
            [first, value, rest @ ..] if first == b"-Xclang" => {
                self.rest = rest;
                Some(value)
            }
            [last] if last == b"-Xclang" => {
                self.rest = &[];
                None
            }
            _ => None,
        }
    }
}

/// Whether the compiler behind the driver has an option of this name too, and means the same.
fn means_the_same(option: &[u8]) -> bool {
    option.starts_with(b"-f") || option.starts_with(b"-objcmt-")
}
