//! The description that an environment carries: the text of its member `usr/share/icecream/env`.
//!
//! ```text
//! icecream environment 1
//! compiler gcc
//! version gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)
//! target x86_64-linux-gnu
//! platform x86_64
//! ```
//! An archive with gcc and clang has a group `compiler`, `version`, `target` for each.

use crate::driver::{Driver, DriverError, Kind};
use std::fmt::Write;

/// The first line, with the version of the format.
const FIRST_LINE: &str = "icecream environment 1";

/// One compiler of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompilerInfo {
    /// `gcc` or `clang`.
    pub compiler: String,
    /// The version line that `-v` prints.
    pub version: String,
    /// The target triple.
    pub target: String,
}

/// The description of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvInfo {
    /// Its compilers; mostly one.
    pub compilers: Vec<CompilerInfo>,
    /// The platform of hosts that can run it, as `uname -m` prints it.
    pub platform: String,
}

impl CompilerInfo {
    /// Queries an installed compiler.
    pub fn ask(driver: &Driver) -> Result<Self, DriverError> {
        Self::of_kind(driver, driver.kind()?)
    }

    /// Queries a compiler of known kind, which saves a run of it.
    pub fn of_kind(driver: &Driver, kind: Kind) -> Result<Self, DriverError> {
        let compiler = kind.name().to_string();
        Ok(Self { compiler, version: driver.version()?, target: driver.target()? })
    }
}

impl EnvInfo {
    /// The text of the member.
    pub fn text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        for c in &self.compilers {
            // Writing into a String cannot fail.
            let _ = write!(text, "compiler {}\nversion {}\ntarget {}\n", c.compiler, c.version, c.target);
        }
        text + &format!("platform {}\n", self.platform)
    }

    /// Parses the text. Unknown keys are ignored, as later versions may add some. `None`: not such a text.
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

    /// Why an installed compiler does not match this environment; `None`: it does.
    pub fn mismatch(&self, own: &CompilerInfo) -> Option<String> {
        let Some(c) = self.compilers.iter().find(|c| c.compiler == own.compiler) else {
            let has: Vec<&str> = self.compilers.iter().map(|c| c.compiler.as_str()).collect();
            return Some(format!("the environment has {}, not {}", has.join(" and "), own.compiler));
        };
        // One clang serves all targets: the client passes the target by -target.
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
    fn a_mismatch_is_explained() {
        let info = EnvInfo { compilers: vec![gcc("v1", "x86_64-linux-gnu")], platform: "x86_64".into() };
        assert_eq!(info.mismatch(&gcc("v1", "x86_64-linux-gnu")), None);
        assert!(info.mismatch(&gcc("v1", "arm-linux-gnueabihf")).unwrap().contains("makes code for x86_64-linux-gnu"));
        assert!(info.mismatch(&gcc("v2", "x86_64-linux-gnu")).unwrap().contains("the compiler is v2"));
        let clang = CompilerInfo { compiler: "clang".into(), ..gcc("v", "t") };
        assert!(info.mismatch(&clang).unwrap().contains("has gcc, not clang"));
    }
}
