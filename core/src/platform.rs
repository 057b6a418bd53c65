//! Platforms of hosts, and which runs the programs of which.

/// Chains of platforms in which each runs the programs of all before it.
const CHAINS: [&[&str]; 3] = [&["i386", "i486", "i586", "i686", "x86_64"], &["ppc", "ppc64"], &["s390", "s390x"]];

/// Whether a host of platform `host` runs programs built for `program`. Names are compared literally (`amd64` is not
/// `x86_64`).
pub fn runs(host: &[u8], program: &[u8]) -> bool {
    host == program
        || CHAINS.iter().any(|chain| {
            let place = |name: &[u8]| chain.iter().position(|p| p.as_bytes() == name);
            matches!((place(program), place(host)), (Some(p), Some(h)) if p < h)
        })
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn a_platform_runs_itself_and_what_stands_before_it() {
        assert!(runs(b"x86_64", b"x86_64"));
        assert!(runs(b"x86_64", b"i386"));
        assert!(runs(b"ppc64", b"ppc"));
        assert!(!runs(b"i686", b"x86_64"));
        assert!(!runs(b"aarch64", b"armv7l"));
        assert!(!runs(b"x86_64", b"amd64"));
        for chain in [&["i386", "i486", "i586", "i686", "x86_64"][..], &["ppc", "ppc64"], &["s390", "s390x"]] {
            for (h, host) in chain.iter().enumerate() {
                for (p, program) in chain.iter().enumerate() {
                    assert_eq!(runs(host.as_bytes(), program.as_bytes()), p <= h, "{program} on {host}");
                }
                assert!(!runs(host.as_bytes(), b"armv7l") && !runs(b"aarch64", host.as_bytes()), "{host}");
            }
        }
    }
}
