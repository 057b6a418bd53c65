//! What the headers of an ELF file say: machine, loader, needed libraries. The file is read, never run.

use elf::ElfStream;
use elf::abi;
use elf::dynamic::DynamicTable;
use elf::endian::AnyEndian;
use elf::file::Class;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Maximum size of a table of dynamic strings in bytes: libLLVM's has a few MB.
const STRINGS_MAX: u64 = 64 << 20;
/// Maximum length of the loader's path in bytes.
const PATH_MAX: u64 = 4096;

/// Why an ELF file cannot be parsed.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The file begins like an ELF file, but is malformed.
    #[error("{} is a damaged program: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// The processor that a file is for. Libraries must agree with their program in all of these fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Whether it is a 64-bit file; else it has 32 bits.
    pub is_64: bool,
    /// Whether it is big-endian.
    pub is_big: bool,
    /// The machine number `e_machine` of the ELF header.
    pub number: u16,
}

impl Machine {
    /// Parses the first 20 bytes of a file. `None`: not an ELF file.
    pub fn of_header(start: &[u8]) -> Option<Self> {
        let [0x7f, b'E', b'L', b'F', class, data, .., low, high] = *start.get(..20)? else { return None };
        let is_big = data == abi::ELFDATA2MSB;
        let number = if is_big { u16::from_be_bytes([low, high]) } else { u16::from_le_bytes([low, high]) };
        Some(Self { is_64: class == abi::ELFCLASS64, is_big, number })
    }

    /// The platform of hosts that can run it, as `uname -m` prints it there. `None`: unknown machine.
    pub fn platform(self) -> Option<&'static str> {
        Some(match (self.number, self.is_64, self.is_big) {
            (abi::EM_X86_64, ..) => "x86_64",
            (abi::EM_386, ..) => "i686",
            (abi::EM_AARCH64, _, false) => "aarch64",
            (abi::EM_ARM, ..) => "armv7l",
            (abi::EM_RISCV, true, _) => "riscv64",
            (abi::EM_RISCV, false, _) => "riscv32",
            (abi::EM_PPC64, _, true) => "ppc64",
            (abi::EM_PPC64, _, false) => "ppc64le",
            (abi::EM_PPC, ..) => "ppc",
            (abi::EM_S390, true, _) => "s390x",
            (abi::EM_S390, false, _) => "s390",
            (abi::EM_IA_64, ..) => "ia64",
            (abi::EM_MIPS, true, _) => "mips64",
            (abi::EM_MIPS, false, _) => "mips",
            (258, ..) => "loongarch64",
            _ => return None,
        })
    }

    /// The triples by which Debian names its library directories.
    pub fn triples(self) -> &'static [&'static str] {
        match (self.number, self.is_64, self.is_big) {
            (abi::EM_X86_64, true, _) => &["x86_64-linux-gnu"],
            (abi::EM_X86_64, false, _) => &["x86_64-linux-gnux32"],
            (abi::EM_386, ..) => &["i386-linux-gnu"],
            (abi::EM_AARCH64, ..) => &["aarch64-linux-gnu"],
            (abi::EM_ARM, ..) => &["arm-linux-gnueabihf", "arm-linux-gnueabi"],
            (abi::EM_RISCV, true, _) => &["riscv64-linux-gnu"],
            (abi::EM_PPC64, _, true) => &["powerpc64-linux-gnu"],
            (abi::EM_PPC64, _, false) => &["powerpc64le-linux-gnu"],
            (abi::EM_PPC, ..) => &["powerpc-linux-gnu"],
            (abi::EM_S390, true, _) => &["s390x-linux-gnu"],
            (abi::EM_MIPS, true, false) => &["mips64el-linux-gnuabi64"],
            (abi::EM_MIPS, false, false) => &["mipsel-linux-gnu"],
            (258, ..) => &["loongarch64-linux-gnu"],
            _ => &[],
        }
    }
}

/// What the headers of an ELF file say. Names are unchanged; `$ORIGIN` is not replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The processor it is for.
    pub machine: Machine,
    /// The path of its loader.
    pub interpreter: Option<Vec<u8>>,
    /// The libraries it needs.
    pub needed: Vec<Vec<u8>>,
    /// The directories of RPATH.
    pub rpath: Vec<Vec<u8>>,
    /// The directories of RUNPATH; `None` if it has none.
    pub runpath: Option<Vec<Vec<u8>>>,
}

impl Program {
    /// Reads the file `path`. `None`: not an ELF file.
    pub fn read(path: &Path) -> Result<Option<Self>, ProgramError> {
        let failed = |source| ProgramError::Read { path: path.to_path_buf(), source };
        let mut file = File::open(path).map_err(failed)?;
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic).map_err(failed)?;
        if magic != *b"\x7fELF" {
            return Ok(None);
        }
        file.rewind().map_err(failed)?;
        Self::parse(file).map(Some).map_err(|what| ProgramError::Damaged { path: path.to_path_buf(), what })
    }

    /// Parses an ELF file; the error is what is wrong.
    fn parse(file: File) -> Result<Self, String> {
        let mut bytes = file.try_clone().map_err(|e| e.to_string())?;
        let mut elf = ElfStream::<AnyEndian, _>::open_stream(file).map_err(|e| e.to_string())?;
        let (class, endian) = (elf.ehdr.class, elf.ehdr.endianness);
        let machine =
            Machine { is_64: class == Class::ELF64, is_big: endian == AnyEndian::Big, number: elf.ehdr.e_machine };
        let segments = elf.segments().clone();
        let mut program = Self { machine, interpreter: None, needed: Vec::new(), rpath: Vec::new(), runpath: None };
        if let Some(interp) = segments.iter().find(|s| s.p_type == abi::PT_INTERP) {
            let text = read_at(&mut bytes, interp.p_offset, interp.p_filesz.min(PATH_MAX))?;
            program.interpreter = Some(until_nul(&text).to_vec());
        }
        let Some(dynamic) = segments.iter().find(|s| s.p_type == abi::PT_DYNAMIC) else { return Ok(program) };
        let data = elf.segment_data(dynamic).map_err(|e| e.to_string())?;
        let entries: Vec<_> =
            DynamicTable::new(endian, class, data).iter().take_while(|d| d.d_tag != abi::DT_NULL).collect();
        let value = |tag| entries.iter().find(|d| d.d_tag == tag).map(|d| d.d_val());
        let (Some(address), Some(size)) = (value(abi::DT_STRTAB), value(abi::DT_STRSZ)) else { return Ok(program) };
        let place = segments
            .iter()
            .filter(|s| s.p_type == abi::PT_LOAD)
            .find(|s| address >= s.p_vaddr && address - s.p_vaddr < s.p_filesz)
            .ok_or("its strings are in no segment")?;
        let offset = place.p_offset.checked_add(address - place.p_vaddr).ok_or("bad offset")?;
        if size > STRINGS_MAX {
            return Err(format!("{size} bytes of strings"));
        }
        let strings = read_at(&mut bytes, offset, size)?;
        let string = |at: u64| {
            let tail = usize::try_from(at).ok().and_then(|at| strings.get(at..)).ok_or("string outside its table");
            tail.map(|t| until_nul(t).to_vec())
        };
        for entry in &entries {
            match entry.d_tag {
                abi::DT_NEEDED => program.needed.push(string(entry.d_val())?),
                abi::DT_RPATH => program.rpath = search_path(&string(entry.d_val())?),
                abi::DT_RUNPATH => program.runpath = Some(search_path(&string(entry.d_val())?)),
                _ => {}
            }
        }
        Ok(program)
    }
}

/// The directories of a list separated by `:`.
fn search_path(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|b| *b == b':').filter(|f| !f.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The bytes before the first NUL.
fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|b| *b == 0).next().unwrap_or_default()
}

/// Reads exactly `size` bytes from `offset`.
fn read_at(file: &mut File, offset: u64, size: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset)).map_err(|e| e.to_string())?;
    file.take(size).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err("shorter than it says".to_string()) }
}
