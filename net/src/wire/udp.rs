//! The datagrams of discovery and election (`net/PROTOCOL.md`, Discovery and election), as bytes and as values. Which
//! schedulers to query, answer and choose is decided elsewhere.

use ice_core::text::Text;

/// First bytes of a legacy announcement.
const LEGACY: &[u8; 3] = b"ICE";
/// First bytes of an announcement.
const CURRENT: &[u8; 3] = b"ICF";
/// Size of the short answer in bytes; its netname is truncated to leave room for a NUL.
const SHORT: usize = 16;
/// Size of the answer to 33 to 35 in bytes.
const MIDDLE: usize = 32;
/// Size of later answers and of an announcement in bytes.
const LONG: usize = 268;

/// One datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// A query for schedulers.
    Query {
        /// The client's version.
        version: u8,
    },
    /// A scheduler's answer.
    Reply(Reply),
    /// A scheduler's announcement to others.
    Announce(Announce),
    /// An announcement to old schedulers; see [`Announce::legacy`].
    AnnounceLegacy {
        /// Its content; the netname as it is in the datagram.
        announce: Announce,
        /// The stated length of the netname, including NULs.
        name_length: u8,
    },
}

/// A scheduler's answer to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its layout.
    pub format: ReplyFormat,
    /// The first byte: the client's version plus 1, 2 or 3, depending on the format.
    pub mark: u8,
    /// The scheduler's version; 0 in [`ReplyFormat::Short`], which has none.
    pub version: u32,
    /// The scheduler's start time in seconds since 1970; 0 in [`ReplyFormat::Short`], which has none.
    pub start_time: u64,
    /// Its netname, truncated if it did not fit.
    pub netname: Text,
}

/// The layout of an answer, which depends on the client's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplyFormat {
    /// 16 bytes, netname only; for clients of 21 to 32.
    Short,
    /// 32 bytes, little-endian numbers (actually in the byte order of the scheduler's host); for 33 to 35.
    Little32,
    /// 268 bytes, otherwise like [`Self::Little32`]; for 36 and 37.
    Little268,
    /// 268 bytes, big-endian numbers; for 38 and above.
    Big268,
}

/// A scheduler's announcement that it serves a netname.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The scheduler's version.
    pub version: u8,
    /// Its start time in seconds since 1970.
    pub start_time: u64,
    /// Its netname.
    pub netname: Text,
}

impl Datagram {
    /// Parses a datagram without knowing the query. `None`: unknown. Clients use [`Reply::parse`].
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if let [version] = bytes {
            return Some(Self::Query { version: *version });
        }
        if let Some(rest) = bytes.strip_prefix(CURRENT) {
            if bytes.len() == LONG {
                return parse_announce(rest).map(Self::Announce);
            }
        }
        if let Some(legacy) = bytes.strip_prefix(LEGACY).and_then(parse_legacy) {
            return Some(legacy);
        }
        let format = match bytes.len() {
            SHORT => ReplyFormat::Short,
            MIDDLE => ReplyFormat::Little32,
            // Only a plausible version in this byte order shows that it is meant.
            LONG if matches!(bytes.get(1..5), Some([0, 0, 0, 1..=127])) => ReplyFormat::Big268,
            LONG => ReplyFormat::Little268,
            _ => return None,
        };
        Reply::parse_as(format, bytes).map(Self::Reply)
    }

    /// Encodes the datagram.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Query { version } => vec![*version],
            Self::Reply(reply) => reply.to_bytes(),
            Self::Announce(a) => {
                let head = [&CURRENT[..], &[a.version], &a.start_time.to_be_bytes()].concat();
                padded(head, &a.netname, LONG)
            }
            Self::AnnounceLegacy { announce: a, name_length } => {
                let head = [&LEGACY[..], &[a.version], &a.start_time.to_le_bytes(), &[*name_length]].concat();
                let size = head.len() + usize::from(*name_length);
                padded_without_nul(head, &a.netname, size)
            }
        }
    }
}

impl Announce {
    /// The legacy format as 1.4 sends it: the last character of the netname is replaced by a NUL.
    pub fn legacy(&self) -> Datagram {
        let name = self.netname.as_bytes();
        let name_length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        let cut = name.get(..usize::from(name_length.saturating_sub(1))).unwrap_or_default();
        Datagram::AnnounceLegacy { announce: Self { netname: cut.into(), ..self.clone() }, name_length }
    }
}

impl ReplyFormat {
    /// The format for a client of version `v`; `None` for versions that no scheduler answers.
    pub const fn for_asker(v: u8) -> Option<Self> {
        match v {
            21..=32 => Some(Self::Short),
            33..=35 => Some(Self::Little32),
            36..=37 => Some(Self::Little268),
            38..=127 => Some(Self::Big268),
            _ => None,
        }
    }

    /// The difference between the mark and the client's version.
    const fn mark_offset(self) -> u8 {
        match self {
            Self::Short => 1,
            Self::Little32 | Self::Little268 => 2,
            Self::Big268 => 3,
        }
    }

    const fn size(self) -> usize {
        match self {
            Self::Short => SHORT,
            Self::Little32 => MIDDLE,
            Self::Little268 | Self::Big268 => LONG,
        }
    }
}

impl Reply {
    /// The answer to a client of version `client_version`; `None` if such clients are not answered.
    pub fn to(client_version: u8, version: u32, start_time: u64, netname: Text) -> Option<Self> {
        let format = ReplyFormat::for_asker(client_version)?;
        let mark = client_version.wrapping_add(format.mark_offset());
        Some(Self { format, mark, version, start_time, netname })
    }

    /// Parses an answer to a query of version `own`. Its size and mark must belong together. Formats of older
    /// schedulers are accepted.
    pub fn parse(own: u8, bytes: &[u8]) -> Option<Self> {
        let mark = bytes.first()?.wrapping_sub(own);
        [ReplyFormat::Short, ReplyFormat::Little32, ReplyFormat::Little268, ReplyFormat::Big268]
            .into_iter()
            .find(|f| f.size() == bytes.len() && f.mark_offset() == mark)
            .and_then(|f| Self::parse_as(f, bytes))
    }

    fn parse_as(format: ReplyFormat, bytes: &[u8]) -> Option<Self> {
        let (mark, rest) = bytes.split_first()?;
        let (version, start_time, name) = match format {
            ReplyFormat::Short => (0, 0, rest),
            ReplyFormat::Little32 | ReplyFormat::Little268 => {
                let (version, rest) = rest.split_first_chunk::<4>()?;
                let (start, name) = rest.split_first_chunk::<8>()?;
                (u32::from_le_bytes(*version), u64::from_le_bytes(*start), name)
            }
            ReplyFormat::Big268 => {
                let (version, rest) = rest.split_first_chunk::<4>()?;
                let (start, name) = rest.split_first_chunk::<8>()?;
                (u32::from_be_bytes(*version), u64::from_be_bytes(*start), name)
            }
        };
        Some(Self { format, mark: *mark, version, start_time, netname: until_nul(name) })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut head = vec![self.mark];
        match self.format {
            ReplyFormat::Short => {}
            ReplyFormat::Little32 | ReplyFormat::Little268 => {
                head.extend_from_slice(&self.version.to_le_bytes());
                head.extend_from_slice(&self.start_time.to_le_bytes());
            }
            ReplyFormat::Big268 => {
                head.extend_from_slice(&self.version.to_be_bytes());
                head.extend_from_slice(&self.start_time.to_be_bytes());
            }
        }
        padded(head, &self.netname, self.format.size())
    }
}

fn parse_announce(rest: &[u8]) -> Option<Announce> {
    let (version, rest) = rest.split_first()?;
    let (start, name) = rest.split_first_chunk::<8>()?;
    Some(Announce { version: *version, start_time: u64::from_be_bytes(*start), netname: until_nul(name) })
}

fn parse_legacy(rest: &[u8]) -> Option<Datagram> {
    let (version, rest) = rest.split_first()?;
    let (start, rest) = rest.split_first_chunk::<8>()?;
    let (name_length, name) = rest.split_first()?;
    (usize::from(*name_length) == name.len()).then(|| Datagram::AnnounceLegacy {
        announce: Announce { version: *version, start_time: u64::from_le_bytes(*start), netname: until_nul(name) },
        name_length: *name_length,
    })
}

/// The bytes before the first NUL.
fn until_nul(name: &[u8]) -> Text {
    name.split(|b| *b == 0).next().unwrap_or_default().into()
}

/// `head`, then as much of the netname as leaves room for a NUL, then NULs up to `size` bytes.
fn padded(head: Vec<u8>, netname: &Text, size: usize) -> Vec<u8> {
    let room = size.saturating_sub(head.len() + 1);
    let cut = netname.as_bytes().get(..room).unwrap_or(netname.as_bytes());
    padded_without_nul(head, &cut.into(), size)
}

/// The same, without room for a NUL.
fn padded_without_nul(mut head: Vec<u8>, netname: &Text, size: usize) -> Vec<u8> {
    head.extend_from_slice(netname.as_bytes());
    head.resize(size, 0);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asker_gets_an_answer_that_it_understands() {
        for client_version in 0..=255u8 {
            let reply = Reply::to(client_version, 43, 1_795_446_593, "ICECREAM".into());
            assert_eq!(reply.is_some(), (21..=127).contains(&client_version), "{client_version}");
            let Some(reply) = reply else { continue };
            let read = Reply::parse(client_version, &reply.to_bytes()).unwrap();
            assert_eq!(read.netname, reply.netname);
            assert_eq!(Reply::parse(client_version + 10, &reply.to_bytes()), None, "mark of another client_version");
            if read.format != ReplyFormat::Short {
                assert_eq!(read, reply);
            }
        }
    }

    #[test]
    fn long_netnames_are_cut_before_the_nul() {
        let netname = Text::from("n".repeat(400));
        for (client_version, size, kept) in [(21, 16, 14), (33, 32, 18), (36, 268, 254), (43, 268, 254)] {
            let bytes = Reply::to(client_version, 43, 1, netname.clone()).unwrap().to_bytes();
            assert_eq!(bytes.len(), size);
            assert_eq!(Reply::parse(client_version, &bytes).unwrap().netname.len(), kept);
        }
        let announce = Announce { version: 43, start_time: 1, netname };
        assert_eq!(Datagram::Announce(announce.clone()).to_bytes().len(), 268);
        let legacy = announce.legacy().to_bytes();
        assert_eq!(Datagram::parse(&legacy).unwrap().to_bytes(), legacy);
    }

    #[test]
    fn a_legacy_announcement_loses_the_last_character() {
        let announce = Announce { version: 43, start_time: 0x6b04_5778, netname: "ICECREAM".into() };
        let bytes = announce.legacy().to_bytes();
        assert_eq!(bytes, b"ICE+\x78\x57\x04\x6b\0\0\0\0\x08ICECREA\0");
        assert_eq!(Datagram::parse(&bytes), Some(announce.legacy()));
    }

    #[test]
    fn other_datagrams_are_nothing() {
        for bytes in [&[][..], &[43, 0], b"ICF", b"ICE+", &[b'x'; 300], b"ICE+\x78\x57\x04\x6b\0\0\0\0\x09ICECREA\0"] {
            assert_eq!(Datagram::parse(bytes), None, "{bytes:?}");
        }
    }
}
