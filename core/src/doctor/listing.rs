//! The scheduler's text port: what it answers to `listcs`, as 1.4 does.

use super::HostFacts;

/// The answers to commands that were sent one after another; the greeting is before the first.
pub fn answers(text: &str) -> Vec<&str> {
    let start = text.find("to quit.\n").map_or(0, |at| at + "to quit.\n".len());
    text[start..].split_inclusive("200 done\n").filter_map(|answer| answer.strip_suffix("200 done\n")).collect()
}

/// The hosts of a list in 1.4's form. Lines of jobs, which stand deeper, are passed over.
pub fn hosts(answer: &str) -> Vec<HostFacts> {
    answer.lines().filter_map(host).collect()
}

/// ` h1 (10.77.0.1:10245) [x86_64] speed=0.00 jobs=0/2 load=91`
fn host(line: &str) -> Option<HostFacts> {
    let line = line.strip_prefix(' ').filter(|line| !line.starts_with(' '))?;
    let (name, rest) = line.split_once(" (")?;
    let (at, rest) = rest.split_once(") [")?;
    let (address, port) = at.rsplit_once(':')?;
    let (platform, rest) = rest.split_once(']')?;
    let slots = rest.split_once(" jobs=")?.1.split_once('/')?.1.split(' ').next()?;
    let port: u32 = port.parse().ok()?;
    Some(HostFacts {
        name: name.to_owned(),
        address: address.trim_matches(['[', ']']).to_owned(),
        port,
        platform: platform.to_owned(),
        version: None,
        slots: slots.trim_start_matches('-').parse().ok()?,
        no_remote: port == 0,
        state: None,
        is_own: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_1_4_are_read() {
        let text = "200-ICECC 1.4.0: 92s uptime, 2 hosts, 0 jobs in queue (19 total).\n200 Use 'help' for help and 'quit' to \
                    quit.\n alpha (10.42.0.2:10245) [x86_64] speed=628.84 jobs=1/-2 load=918\n   1 COMP sub:a on:h x/f.c\n \
                    b c (fd00::7:0) [aarch64] speed=0.00 jobs=0/4 load=0 busy installing since 3 s\n200 done\n   \
                    blocked\n200 done\n200 Good Bye!\n";
        let all = answers(text);
        assert_eq!(all.len(), 2);
        let hosts = hosts(all[0]);
        let seen: Vec<_> = hosts.iter().map(|h| (h.name.as_str(), h.address.as_str(), h.port, h.slots)).collect();
        assert_eq!(seen, [("alpha", "10.42.0.2", 10245, 2), ("b c", "fd00::7", 0, 4)]);
        assert!(hosts[1].no_remote && !hosts[0].no_remote);
        assert_eq!(all[1], "   blocked\n");
        assert!(answers("nonsense").is_empty() && super::hosts("nonsense\n x\n").is_empty());
    }
}
