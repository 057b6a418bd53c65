//! The lists of a job of files mode: all but whose it is.

use super::number;
use ice_core::files::{MAX_ENCODED, is_canonical};
use ice_sandbox::report::OUTPUTS_MAX;

/// Most layers: a generation has no more deltas than this, and a base.
const LAYERS_MAX: usize = 20;
/// Most arguments, and most variables.
const TEXTS_MAX: usize = 1 << 16;
/// Most bytes of all texts: the kernel takes no more of arguments and variables together, unless a stack is larger
/// than usual.
const BYTES_MAX: usize = 4 << 20;
/// Most bytes of the lists.
pub(crate) const FILES_LISTS_MAX: usize = BYTES_MAX + MAX_ENCODED;

/// The lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilesLists {
    pub(crate) generation: u32,
    pub(crate) umask: u32,
    /// Without the base, which is always there.
    pub(crate) layers: Vec<u32>,
    pub(crate) program: Vec<u8>,
    pub(crate) argv: Vec<Vec<u8>>,
    pub(crate) env: Vec<Vec<u8>>,
    pub(crate) cwd: Vec<u8>,
    pub(crate) outputs: Vec<Vec<u8>>,
    /// Read by who no longer has any rights.
    pub(crate) facts: Vec<u8>,
}

impl FilesLists {
    /// Numbers and counts, then every text with a NUL behind it, then the facts.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, &'static str> {
        let Self { generation, umask, layers, program, argv, env, cwd, outputs, facts } = self;
        let count = |len: usize| u32::try_from(len).map_err(|_| "too many arguments");
        let counts = [count(layers.len())?, count(argv.len())?, count(env.len())?, count(outputs.len())?];
        let mut out = Vec::with_capacity(facts.len() + 4096);
        for n in [*generation, *umask].iter().chain(&counts).chain(layers) {
            out.extend_from_slice(&n.to_le_bytes());
        }
        for text in [program, cwd].into_iter().chain(argv).chain(env).chain(outputs) {
            if text.contains(&0) {
                return Err("NUL in an argument");
            }
            out.extend_from_slice(text);
            out.push(0);
        }
        if out.len() > BYTES_MAX {
            return Err("arguments too long");
        }
        out.extend_from_slice(facts);
        Self::from_bytes(&out).map(|_| out)
    }

    /// Reads and checks the lists of a possibly hostile half.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut rest = bytes;
        let mut next = || number::<4>(&mut rest).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let (generation, umask) = (next()?, next()?);
        let counts = [next()?, next()?, next()?, next()?];
        let [layer_count, arg_count, env_count, output_count] = counts.map(|n| n as usize);
        let too_many = layer_count > LAYERS_MAX || arg_count > TEXTS_MAX || env_count > TEXTS_MAX;
        if too_many || output_count > OUTPUTS_MAX || arg_count == 0 {
            return Err("too many arguments, or none");
        }
        let layers = (0..layer_count).map(|_| next()).collect::<Result<Vec<u32>, _>>()?;
        if layers.contains(&0) {
            return Err("a delta without number");
        }
        let mut take = |n: usize| (0..n).map(|_| text(&mut rest)).collect::<Result<Vec<Vec<u8>>, _>>();
        let mut both = take(2)?.into_iter();
        let (program, cwd) = (both.next().unwrap_or_default(), both.next().unwrap_or_default());
        let (argv, env, outputs) = (take(arg_count)?, take(env_count)?, take(output_count)?);
        if !is_canonical(&cwd) || ![&program].into_iter().chain(&outputs).all(|path| path.starts_with(b"/")) {
            return Err("a path that is not absolute");
        }
        Ok(Self { generation, umask, layers, program, argv, env, cwd, outputs, facts: rest.to_vec() })
    }
}

/// Takes a text with the NUL behind it.
fn text(rest: &mut &[u8]) -> Result<Vec<u8>, &'static str> {
    let end = rest.iter().position(|c| *c == 0).ok_or("arguments cut short")?;
    let (text, tail) = rest.split_at_checked(end).ok_or("arguments cut short")?;
    *rest = tail.get(1..).unwrap_or_default();
    Ok(text.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists() -> FilesLists {
        FilesLists {
            generation: 3,
            umask: 0o027,
            layers: vec![2, 1],
            program: b"/usr/bin/gcc".to_vec(),
            argv: vec![b"gcc".to_vec(), b"".to_vec(), b"-c".to_vec()],
            env: vec![b"A=B".to_vec()],
            cwd: b"/src".to_vec(),
            outputs: vec![b"/src/../a.o".to_vec()],
            facts: b"\0facts\0".to_vec(),
        }
    }

    #[test]
    fn lists_survive_and_bad_ones_do_not() {
        let bytes = lists().to_bytes().unwrap_or_default();
        assert_eq!(FilesLists::from_bytes(&bytes), Ok(lists()));
        for cut in 0..bytes.len() - lists().facts.len() {
            assert!(FilesLists::from_bytes(&bytes[..cut]).is_err(), "{cut}");
        }
        for bad in [
            FilesLists { layers: vec![1; 21], ..lists() },
            FilesLists { layers: vec![0], ..lists() },
            FilesLists { argv: Vec::new(), ..lists() },
            FilesLists { argv: vec![b"a\0b".to_vec()], ..lists() },
            FilesLists { argv: vec![vec![b'a'; 5 << 20]], ..lists() },
            FilesLists { program: b"gcc".to_vec(), ..lists() },
            FilesLists { cwd: b"/src/..".to_vec(), ..lists() },
            FilesLists { outputs: vec![b"a.o".to_vec()], ..lists() },
            FilesLists { outputs: vec![b"/a.o".to_vec(); 65], ..lists() },
        ] {
            assert!(bad.to_bytes().is_err(), "{bad:?}");
        }
    }
}
