//! Fields and messages that are more than one field after the other: each says by hand how it is read and written.

use ice_core::codec::Codec;
use ice_core::limits::CHUNK_PLAIN_MAX;
use ice_core::message::{ArgSide, Chunk, GetCs, JobDone, MonGetCs, done_flags};
use ice_core::text::Text;
use ice_core::version::Version;

use super::reader::Reader;
use super::types::{self, Field, Named, Wire};
use super::writer::Writer;
use super::{EncodeError, Malformed};

/// The arguments of COMPILE_FILE: one ordered list from 41 on, two lists below.
impl Wire for Vec<(ArgSide, Text)> {
    fn read(r: &mut Reader<'_>, v: Version) -> Result<Self, Malformed> {
        let sided = |side: ArgSide, texts: Vec<Text>| texts.into_iter().map(move |text| (side, text));
        if v.has_ordered_args() {
            return Ok(sided(ArgSide::Rest, r.texts()?).collect());
        }
        let (remote, rest) = (r.texts()?, r.texts()?);
        Ok(sided(ArgSide::Remote, remote).chain(sided(ArgSide::Rest, rest)).collect())
    }

    fn write(arguments: &Self, w: &mut Writer<'_>, v: Version) {
        if v.has_ordered_args() {
            return w.texts(arguments.iter().map(|(_, text)| text));
        }
        for side in [ArgSide::Remote, ArgSide::Rest] {
            w.texts(of_side(arguments, side).into_iter());
        }
    }

    fn show<'m>(arguments: &'m Self, name: &'static str, v: Version, out: &mut Vec<Named<'m>>) {
        if v.has_ordered_args() {
            return out.push((name, Field::Texts(arguments.iter().map(|(_, text)| text).collect())));
        }
        for (name, side) in [("remote_flags", ArgSide::Remote), ("rest_flags", ArgSide::Rest)] {
            out.push((name, Field::Texts(of_side(arguments, side))));
        }
    }
}

/// The arguments of one side.
fn of_side(arguments: &[(ArgSide, Text)], wanted: ArgSide) -> Vec<&Text> {
    arguments.iter().filter(|(side, _)| *side == wanted).map(|(_, text)| text).collect()
}

/// FILE_CHUNK. The data stays compressed; `compress` decompresses it. Its length stands before the codec, which only
/// versions with zstd have, and the data without a length of its own.
impl Wire for Chunk {
    fn read(r: &mut Reader<'_>, v: Version) -> Result<Self, Malformed> {
        let (plain_len, packed_len) = (r.u32()?, r.u32()?);
        if plain_len as usize > CHUNK_PLAIN_MAX {
            return Err(Malformed::ChunkTooLong(plain_len));
        }
        if plain_len > 0 && packed_len == 0 {
            return Err(Malformed::ChunkWithoutData(plain_len));
        }
        let codec = if v.has_zstd() {
            let number = r.u32()?;
            Codec::from_number(number).ok_or(Malformed::UnknownCodec(number))?
        } else {
            Codec::of_version(v)
        };
        Ok(Self { plain_len, codec, data: r.bytes(packed_len)?.to_vec() })
    }

    fn write(chunk: &Self, w: &mut Writer<'_>, v: Version) {
        w.u32(chunk.plain_len);
        w.len(chunk.data.len());
        if v.has_zstd() {
            w.u32(chunk.codec.number().into());
        } else if chunk.codec != Codec::of_version(v) {
            w.fail(EncodeError::NoZstd(v));
        }
        w.bytes(&chunk.data);
    }

    fn show<'m>(chunk: &'m Self, _: &'static str, v: Version, out: &mut Vec<Named<'m>>) {
        out.push(("uncompressed_length", Field::Number(chunk.plain_len)));
        out.push(("compressed_length", Field::Number(u32::try_from(chunk.data.len()).unwrap_or(u32::MAX))));
        if v.has_zstd() {
            out.push(("compression", Field::Number(chunk.codec.number().into())));
        }
    }
}

/// JOB_DONE. Below 39 the exit code 200 stands for [`done_flags::UNKNOWN_JOB`], which is set then. MON_JOB_DONE always
/// has the job's real number, and so its fields are read and written unchanged.
pub(super) struct UnknownJobByCode;

/// The exit code that tells peers below 39 that the job's number is unknown, and that the number sent is the client's.
const UNKNOWN_JOB_CODE: i32 = 200;

impl Wire<JobDone> for UnknownJobByCode {
    fn read(r: &mut Reader<'_>, v: Version) -> Result<JobDone, Malformed> {
        let mut done: JobDone = types::read(r, v)?;
        if !v.has_client_count() {
            done.flags &= !done_flags::UNKNOWN_JOB;
            if done.exit_code == UNKNOWN_JOB_CODE {
                done.flags |= done_flags::UNKNOWN_JOB;
            }
        }
        Ok(done)
    }

    fn write(done: &JobDone, w: &mut Writer<'_>, v: Version) {
        let unknown = done.flags & done_flags::UNKNOWN_JOB != 0 && !v.has_client_count();
        let exit_code = if unknown { UNKNOWN_JOB_CODE } else { done.exit_code };
        types::write(&JobDone { exit_code, ..*done }, w, v);
    }

    fn show<'m>(done: &'m JobDone, name: &'static str, v: Version, out: &mut Vec<Named<'m>>) {
        types::show(done, name, v, out);
    }
}

/// MON_GET_CS. Below 29 it has the whole body of GET_CS where later versions have only file and language. If the
/// request is missing when one is to be written, it is made of the known fields.
impl Wire for MonGetCs {
    fn read(r: &mut Reader<'_>, v: Version) -> Result<Self, Malformed> {
        let (file, language, request) = if v.has_short_mon_get_cs() {
            (types::read(r, v)?, types::read(r, v)?, None)
        } else {
            let request: GetCs = types::read(r, v)?;
            (request.file.clone(), request.language, Some(Box::new(request)))
        };
        Ok(Self { file, language, job: types::read(r, v)?, host: types::read(r, v)?, request })
    }

    fn write(event: &Self, w: &mut Writer<'_>, v: Version) {
        if v.has_short_mon_get_cs() {
            types::write(&event.file, w, v);
            types::write(&event.language, w, v);
        } else if let Some(request) = &event.request {
            types::write(&**request, w, v);
        } else {
            let request = GetCs { file: event.file.clone(), language: event.language, count: 1, ..GetCs::default() };
            types::write(&request, w, v);
        }
        types::write(&event.job, w, v);
        types::write(&event.host, w, v);
    }

    fn show<'m>(event: &'m Self, name: &'static str, v: Version, out: &mut Vec<Named<'m>>) {
        match &event.request {
            Some(request) if !v.has_short_mon_get_cs() => types::show(&**request, name, v, out),
            _ => {
                types::show(&event.file, "filename", v, out);
                types::show(&event.language, "language", v, out);
            }
        }
        types::show(&event.job, "job_id", v, out);
        types::show(&event.host, "host_id", v, out);
    }
}
