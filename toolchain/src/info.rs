//! What an environment says of itself: the text `usr/share/icecream/env`.
//!
//! ```text
//! icecream environment 1
//! compiler gcc
//! version gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)
//! target x86_64-linux-gnu
//! platform x86_64
//! ```
//! An archive with both compilers has a `compiler`, `version`, `target` group for each.

use crate::driver::{Driver, DriverError, Kind};
use std::fmt::Write;

const FIRST_LINE: &str = "icecream environment 1";

/// One compiler of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompilerInfo {
    /// `gcc` or `clang`.
    pub compiler: String,
    /// Its version line.
    pub version: String,
    /// What it makes code for.
    pub target: String,
}

/// What an environment says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvInfo {
    /// Its compilers, one mostly.
    pub compilers: Vec<CompilerInfo>,
    /// The hosts that run it, as `uname -m`.
    pub platform: String,
}

impl CompilerInfo {
    /// Asks an installed compiler.
    pub fn ask(driver: &Driver) -> Result<Self, DriverError> {
        Self::of_kind(driver, driver.kind()?)
    }

    /// Asks one whose kind is known already: each question is a run of it.
    pub fn of_kind(driver: &Driver, kind: Kind) -> Result<Self, DriverError> {
        let compiler = kind.word().to_string();
        Ok(Self { compiler, version: driver.version()?, target: driver.target()? })
    }
}

impl EnvInfo {
    /// The text.
    pub fn text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        for c in &self.compilers {
            // Writing into a String cannot fail.
            let _ = write!(text, "compiler {}\nversion {}\ntarget {}\n", c.compiler, c.version, c.target);
        }
        text + &format!("platform {}\n", self.platform)
    }

    /// Reads the text; unknown lines are for later versions. `None`: not such a text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut info = Self::default();
        for line in lines {
            let (key, value) = line.split_once(' ')?;
            match (key, info.compilers.last_mut()) {
                ("compiler", _) => {
                    info.compilers.push(CompilerInfo { compiler: value.to_string(), ..CompilerInfo::default() });
                }
                ("version", Some(last)) => last.version = value.to_string(),
                ("target", Some(last)) => last.target = value.to_string(),
                ("platform", _) => info.platform = value.to_string(),
                _ => {}
            }
        }
        Some(info)
    }

    /// Why a compiler of this machine doesn't fit this environment; `None`: it does.
    pub fn mismatch(&self, own: &CompilerInfo) -> Option<String> {
        let Some(c) = self.compilers.iter().find(|c| c.compiler == own.compiler) else {
            let has: Vec<&str> = self.compilers.iter().map(|c| c.compiler.as_str()).collect();
            return Some(format!("the environment has {}, not {}", has.join(" and "), own.compiler));
        };
        // clang is every target's compiler: the client says which by -target.
        if c.compiler == "gcc" && c.target != own.target {
            return Some(format!("the environment makes code for {}, the compiler for {}", c.target, own.target));
        }
        (c.version != own.version)
            .then(|| format!("the environment has {}, the compiler is {}", c.version, own.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gcc(version: &str, target: &str) -> CompilerInfo {
        CompilerInfo { compiler: "gcc".into(), version: version.into(), target: target.into() }
    }

    #[test]
    fn the_text_is_read_back() {
        let info =
            EnvInfo { compilers: vec![gcc("gcc version 12.2.0 (X)", "x86_64-linux-gnu")], platform: "x86_64".into() };
        assert_eq!(EnvInfo::parse(&info.text()), Some(info.clone()));
        assert_eq!(EnvInfo::parse(&format!("{}later word\n", info.text())), Some(info));
        assert_eq!(EnvInfo::parse("something else\n"), None);
    }

    #[test]
    fn what_doesnt_fit_is_said() {
        let info = EnvInfo { compilers: vec![gcc("v1", "x86_64-linux-gnu")], platform: "x86_64".into() };
        assert_eq!(info.mismatch(&gcc("v1", "x86_64-linux-gnu")), None);
        assert!(info.mismatch(&gcc("v1", "arm-linux-gnueabihf")).unwrap().contains("makes code for x86_64-linux-gnu"));
        assert!(info.mismatch(&gcc("v2", "x86_64-linux-gnu")).unwrap().contains("the compiler is v2"));
        let clang = CompilerInfo { compiler: "clang".into(), ..gcc("v", "t") };
        assert!(info.mismatch(&clang).unwrap().contains("has gcc, not clang"));
    }
}
