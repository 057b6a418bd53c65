//! Jobs of files mode: a submitter's own command, in the layers of his tree.

use super::slots::Planned;
use super::{Refused, Serve};
use crate::JobLimits;
use crate::known::Known;
use crate::request::{FILES_LISTS_MAX, FilesLists};
use ice_core::files::Token;
use ice_core::store_layout;
use ice_sandbox::channel;
use ice_sandbox::child::Files;
use ice_sandbox::factory::FilesNeeds;
use ice_sandbox::oracle::Oracle;
use ice_sandbox::plan::c;
use ice_sandbox::supervisor::Tree;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The variables that name a directory for temporary files.
const TEMPORARY: [&[u8]; 3] = [b"TMPDIR=", b"TMP=", b"TEMP="];

impl Serve<'_> {
    pub(super) fn files(
        &self,
        slot: u16,
        token: &Token,
        limits: JobLimits,
        lists: OwnedFd,
        asks: Option<OwnedFd>,
    ) -> Result<Planned, Refused> {
        let lists = channel::read_sealed(lists, FILES_LISTS_MAX).map_err(|e| e.to_string())?;
        let lists = FilesLists::from_bytes(&lists)?;
        let generation = store_layout::tree_generation(Path::new(""), token, lists.generation);
        let below: Vec<String> = generation.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let layers: Vec<String> =
            lists.layers.iter().chain(&[0]).map(|layer| store_layout::layer_name(*layer)).collect();
        let plan = self.factory.files(&FilesNeeds {
            below: &below,
            layers: &layers,
            slot,
            memory: limits.memory,
            tmp: limits.tmp,
            file: limits.file,
            wall: limits.wall,
            umask: lists.umask,
        })?;
        let named = lists.env.iter().filter_map(|var| TEMPORARY.iter().find_map(|name| var.strip_prefix(*name)));
        let temporary = named.chain([&b"/tmp"[..]]).map(<[u8]>::to_vec).collect();
        let FilesLists { program, argv, env, cwd, outputs, facts, .. } = lists;
        let tree = Tree {
            oracle: Box::new(move || Known::new(&facts).map(|known| Box::new(known) as Box<dyn Oracle>)),
            asks: asks.ok_or("no questions")?,
            cwd,
            outputs,
            temporary,
        };
        let all = |texts: Vec<Vec<u8>>| texts.iter().map(c).collect();
        let (path, argv, env) = (c(program), all(argv), all(env));
        Ok(Planned { plan, path, argv, env, files: Files::default(), tree: Some(tree) })
    }
}
