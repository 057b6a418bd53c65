//! Signals as events of a channel.
//!
//! A thread of `signal-hook` turns signals into values, so that a loop receives them like all other events and no code
//! runs inside a signal handler. The program decides what a signal means. Programs that fork a launcher must call this
//! after the fork.

use std::io;
use std::thread;

use crossbeam::channel::{Receiver, bounded};
use signal_hook::consts::{SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

/// What a signal requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT or SIGALRM: end, as in 1.4.
    Term,
    /// SIGHUP: open the log again.
    Hup,
    /// SIGUSR1.
    Usr1,
    /// SIGCHLD: a child ended.
    Child,
}

/// Starts the thread for the signals of `wanted`. If they are not read for long, repeated signals of one kind are
/// merged; none is lost.
pub fn start(wanted: &[Signal]) -> io::Result<Receiver<Signal>> {
    let mut numbers = Vec::new();
    for signal in wanted {
        numbers.extend_from_slice(match signal {
            Signal::Term => &[SIGTERM, SIGINT, SIGALRM],
            Signal::Hup => &[SIGHUP],
            Signal::Usr1 => &[SIGUSR1],
            Signal::Child => &[SIGCHLD],
        });
    }
    let mut signals = Signals::new(numbers)?;
    // A full channel only makes the thread wait: the kernel and signal-hook merge further signals meanwhile.
    let (sender, receiver) = bounded(8);
    thread::Builder::new().name("signals".to_string()).stack_size(64 << 10).spawn(move || {
        for number in signals.forever() {
            if sender.send(meaning(number)).is_err() {
                break;
            }
        }
    })?;
    Ok(receiver)
}

fn meaning(number: i32) -> Signal {
    match number {
        SIGHUP => Signal::Hup,
        SIGUSR1 => Signal::Usr1,
        SIGCHLD => Signal::Child,
        _ => Signal::Term,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn signals_arrive_as_values() {
        let signals = start(&[Signal::Usr1, Signal::Hup]).unwrap();
        for number in [SIGUSR1, SIGHUP] {
            signal_hook::low_level::raise(number).unwrap();
            assert_eq!(signals.recv_timeout(Duration::from_secs(10)).unwrap(), meaning(number));
        }
    }
}
