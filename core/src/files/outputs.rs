//! Which files a command may write. What else it writes means that it does more than is known of it.

use crate::cmdline::RemoteJob;

/// The absolute names that a job writes, as its compiler names them from its working directory: links and `..` in them
/// are not followed.
pub fn outputs(job: &RemoteJob, working_directory: &[u8]) -> Vec<Vec<u8>> {
    let dwo = job.split_dwarf.then(|| job.dwo());
    let names = std::iter::once(job.output.clone()).chain(dwo).chain(job.dependency_files.iter().cloned());
    let mut outputs: Vec<Vec<u8>> =
        names.filter(|name| is_file(name)).map(|name| absolute(&name, working_directory)).collect();
    outputs.sort_unstable();
    outputs.dedup();
    outputs
}

/// Whether a name means a file, not standard output or a device.
fn is_file(name: &[u8]) -> bool {
    !name.is_empty() && name != b"-" && !name.starts_with(b"/dev/")
}

fn absolute(name: &[u8], working_directory: &[u8]) -> Vec<u8> {
    match name {
        [b'/', ..] => name.to_vec(),
        _ if working_directory.ends_with(b"/") => [working_directory, name].concat(),
        _ => [working_directory, b"/", name].concat(),
    }
}
