//! Variables, PATH, wrappers and ccache: whether a build's compilers lead to icecc at all.

use super::facts::{Compiler, PlaceKind};
use super::{Facts, Findings, Usage};

/// Names in a line.
const NAMES_MAX: usize = 6;

pub(super) fn variables(facts: &Facts, findings: &mut Findings<'_>) {
    let unset = "unset ICECC";
    match facts.usage {
        Usage::Cluster => {}
        Usage::LocalSlots => findings.bad("ICECC=no: every job runs on this host", unset),
        Usage::NoDaemon => findings.bad("ICECC=disable: the daemon is not even asked", unset),
    }
    for problem in &facts.problems {
        findings.warn(problem, "correct or unset the variable");
    }
    if let Some(host) = &facts.preferred {
        findings.warn(
            format!("ICECC_PREFERRED_HOST={host}: one host gets all jobs that it can take"),
            "unset ICECC_PREFERRED_HOST",
        );
    }
    if findings.is_fine() {
        findings.ok("none keeps jobs here");
    }
}

/// Where PATH first has a file of this kind.
fn first(compiler: &Compiler, kind: PlaceKind) -> Option<usize> {
    compiler.places.iter().position(|place| place.kind == kind)
}

pub(super) fn path(facts: &Facts, findings: &mut Findings<'_>) {
    if facts.compilers.is_empty() {
        return findings.bad("PATH has no compiler", "install a compiler, for example by: apt install g++");
    }
    let links = facts.links.as_deref().unwrap_or("/usr/lib/icecc/bin");
    let (mut led, mut bare) = (Vec::new(), Vec::new());
    for compiler in &facts.compilers {
        match (first(compiler, PlaceKind::Icecc), first(compiler, PlaceKind::Compiler)) {
            (Some(link), Some(real)) if real < link => {
                let (real, link) = (&compiler.places[real].path, &compiler.places[link].path);
                let directory = link.rsplit_once('/').map_or("", |(directory, _)| directory);
                findings.bad(
                    format!("{} is {real}: the link {link} stands behind it in PATH", compiler.name),
                    format!("export PATH={directory}:$PATH"),
                );
            }
            (Some(_), _) => led.push(compiler.name.as_str()),
            // That is judged by its own check.
            (None, _) if first(compiler, PlaceKind::Ccache).is_some() => {}
            (None, _) => bare.push(compiler.name.as_str()),
        }
    }
    if led.is_empty() && !bare.is_empty() && findings.is_fine() {
        findings.warn(
            "PATH has no links to icecc: only commands that name it, as icecc g++, are distributed",
            format!("export PATH={links}:$PATH"),
        );
    } else {
        if !led.is_empty() {
            findings.ok(format!("{} lead to icecc", some(&led)));
        }
        if !bare.is_empty() {
            findings.warn(format!("no link to icecc for {}", some(&bare)), "icecc --update-links");
        }
    }
}

/// The first of these names, and how many more there are.
fn some(names: &[&str]) -> String {
    match names.get(NAMES_MAX..) {
        Some(more @ [_, ..]) => format!("{} and {} more", names[..NAMES_MAX].join(", "), more.len()),
        _ => names.join(", "),
    }
}

pub(super) fn loops(facts: &Facts, findings: &mut Findings<'_>) {
    for compiler in &facts.compilers {
        if let Some(said) = &compiler.leads_back {
            findings.bad(
                format!("{} leads back to icecc: {said}", compiler.name),
                "let the script call the compiler by its whole path",
            );
        }
    }
    if findings.is_fine() && !facts.compilers.is_empty() {
        findings.ok("no wrapper leads back to icecc");
    }
}

pub(super) fn ccache(facts: &Facts, findings: &mut Findings<'_>) {
    let ccache = &facts.ccache;
    match &ccache.prefix {
        Some(prefix) if !ccache.prefix_is_there => {
            return findings.bad(
                format!("CCACHE_PREFIX={prefix}, and PATH has no such program: ccache's misses fail"),
                "put the directory of icecc into PATH, or give CCACHE_PREFIX its whole path",
            );
        }
        Some(prefix) if !ccache.prefix_is_icecc => {
            return findings.warn(
                format!("CCACHE_PREFIX={prefix}: ccache's misses go to another program than icecc"),
                "export CCACHE_PREFIX=icecc",
            );
        }
        Some(_) => return findings.ok("its misses go to icecc by CCACHE_PREFIX"),
        None => {}
    }
    let hidden = |compiler: &&Compiler| {
        let (ccache, real) = (first(compiler, PlaceKind::Ccache), first(compiler, PlaceKind::Compiler));
        let link = first(compiler, PlaceKind::Icecc);
        let comes_first = ccache.is_some_and(|ccache| real.is_none_or(|real| ccache < real));
        comes_first && link.is_none()
    };
    match facts.compilers.iter().find(hidden) {
        Some(compiler) => findings
            .bad(format!("{} is ccache, whose misses are compiled here", compiler.name), "export CCACHE_PREFIX=icecc"),
        None if ccache.is_there => findings.ok("it is installed, and does not stand before icecc"),
        None => findings.ok("it is not installed"),
    }
}
