//! Feeds in files: a line of JSON for each event, with its time in seconds.
//!
//! ```text
//! {"at":0.001,"event":"connected","scheduler":"10.0.0.1:8765","protocol":43}
//! {"at":0.002,"event":"host","host":1,"text":"Name:n1\nMaxJobs:4\n"}
//! {"at":3.1,"event":"asked","job":7,"host":1,"file":"src/a.cc","language":1}
//! {"at":3.2,"event":"begun","job":7,"host":2}
//! {"at":4.9,"event":"done","job":7,"status":0,"real_ms":1650,"bytes_in":120000,"bytes_out":34000}
//! {"at":5.0,"event":"local","job":8,"host":1,"file":"a.out"}
//! {"at":5.8,"event":"local_done","job":8}
//! ```
//!
//! `host` has the lines of MON_STATS (`net/PROTOCOL.md`, Monitors).

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use crossbeam::channel::{Sender, bounded};
use ice_core::ids::{HostId, JobId};
use ice_core::job::JobStats;
use ice_core::message::{JobDone, Message, MonGetCs, MonJobBegin, MonLocalJobBegin, MonStats};
use ice_core::text::Text;
use ice_core::time::{Duration, Instant};
use serde::{Deserialize, Serialize};

use super::feed::Feed;
use super::{Clock, Event};
use crate::exit::Failure;

/// Longest line that is read.
const LINE_MAX: u64 = 64 << 10;
/// Latest time in a recording, in seconds.
const TIME_MAX: f64 = 1e9;
/// Events that wait for the screen.
const EVENTS_MAX: usize = 1024;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    at: f64,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum What {
    Looking { target: String },
    Connected { scheduler: String, protocol: u32 },
    Lost { why: String },
    Host { host: u32, text: String },
    Asked { job: u32, host: u32, file: String, language: u32 },
    Begun { job: u32, host: u32 },
    Done { job: u32, status: i32, real_ms: u32, bytes_in: u32, bytes_out: u32 },
    Local { job: u32, host: u32, file: String },
    LocalDone { job: u32 },
}

impl What {
    /// Of an event; others mean nothing to a monitor.
    fn of(event: &Event) -> Option<Self> {
        Some(match event.clone() {
            Event::Looking { target } => Self::Looking { target },
            Event::Connected { scheduler, protocol } => Self::Connected { scheduler, protocol },
            Event::Lost { why } => Self::Lost { why },
            Event::Said(Message::MonStats(m)) => Self::Host { host: m.host.0, text: m.text.lossy().into_owned() },
            Event::Said(Message::MonGetCs(m)) => {
                let file = m.file.lossy().into_owned();
                Self::Asked { job: m.job.0, host: m.host.0, file, language: m.language }
            }
            Event::Said(Message::MonJobBegin(m)) => Self::Begun { job: m.job.0, host: m.host.0 },
            Event::Said(Message::MonJobDone(m)) => Self::Done {
                job: m.job,
                status: m.exit_code,
                real_ms: m.stats.real_ms,
                bytes_in: m.stats.in_compressed,
                bytes_out: m.stats.out_compressed,
            },
            Event::Said(Message::MonLocalJobBegin(m)) => {
                Self::Local { job: m.job.0, host: m.host.0, file: m.file.lossy().into_owned() }
            }
            Event::Said(Message::JobLocalDone { id }) => Self::LocalDone { job: id },
            Event::Said(_) | Event::Over => return None,
        })
    }

    fn event(self) -> Event {
        Event::Said(match self {
            Self::Looking { target } => return Event::Looking { target: printable(&target) },
            Self::Connected { scheduler, protocol } => {
                return Event::Connected { scheduler: printable(&scheduler), protocol };
            }
            Self::Lost { why } => return Event::Lost { why: printable(&why) },
            Self::Host { host, text } => Message::MonStats(MonStats { host: HostId(host), text: text.as_str().into() }),
            Self::Asked { job, host, file, language } => {
                let file = file.as_str().into();
                Message::MonGetCs(MonGetCs { file, language, job: JobId(job), host: HostId(host), request: None })
            }
            Self::Begun { job, host } => {
                Message::MonJobBegin(MonJobBegin { job: JobId(job), start_time: 0, host: HostId(host) })
            }
            Self::Done { job, status, real_ms, bytes_in, bytes_out } => {
                let stats =
                    JobStats { real_ms, in_compressed: bytes_in, out_compressed: bytes_out, ..JobStats::default() };
                Message::MonJobDone(JobDone { job, exit_code: status, stats, ..JobDone::default() })
            }
            Self::Local { job, host, file } => {
                let (host, job, file) = (HostId(host), JobId(job), file.as_str().into());
                Message::MonLocalJobBegin(MonLocalJobBegin { host, job, start_time: 0, file })
            }
            Self::LocalDone { job } => Message::JobLocalDone { id: job },
        })
    }
}

/// A file may come from anybody, and must not control the terminal.
fn printable(text: &str) -> String {
    Text::from(text).to_string()
}

/// A file that is written.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Recorder {
    /// Makes the file anew.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|e| unwritten(path, &e))?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file) })
    }

    /// Writes an event.
    ///
    /// # Errors
    /// If that fails.
    pub fn write(&mut self, at: Instant, event: &Event) -> Result<(), Failure> {
        let Some(what) = What::of(event) else { return Ok(()) };
        let line = Line { at: at.as_micros() as f64 / 1e6, what };
        let written = serde_json::to_writer(&mut self.out, &line).map_err(io::Error::from);
        written.and_then(|()| self.out.write_all(b"\n")).map_err(|e| unwritten(&self.path, &e))
    }

    /// Brings to the file what was written.
    ///
    /// # Errors
    /// If that fails.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|e| unwritten(&self.path, &e))
    }
}

/// Starts a thread that tells the events of a file at their times. It ends with [`Event::Over`].
///
/// # Errors
/// If the file cannot be read, its first line too.
pub fn play(path: &Path, clock: Clock) -> Result<Feed, Failure> {
    let mut lines = Lines::open(path)?;
    let first = lines.next().transpose()?;
    let (events, feed) = bounded(EVENTS_MAX);
    let told = move || tell(first.map(Ok).into_iter().chain(lines), clock, &events);
    thread::Builder::new()
        .name("replay".into())
        .spawn(told)
        .map_err(|e| Failure::new(format!("cannot start a thread: {e}")))?;
    Ok(feed)
}

/// All events of a file at once.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> Result<Vec<(Instant, Event)>, Failure> {
    Lines::open(path)?.collect()
}

fn tell(
    events: impl Iterator<Item = Result<(Instant, Event), Failure>>,
    clock: Clock,
    feed: &Sender<(Instant, Event)>,
) {
    for event in events {
        let told = match event {
            Ok((at, event)) => {
                thread::sleep(clock.until(at));
                feed.send((at, event))
            }
            Err(failure) => feed.send((clock.now(), Event::Lost { why: failure.to_string() })),
        };
        if told.is_err() {
            return;
        }
    }
    // Without a receiver there is nobody to tell.
    let _ = feed.send((clock.now(), Event::Over));
}

/// The events of a file. Nothing follows an error.
struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    number: usize,
    is_over: bool,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display())))?;
        Ok(Self { path: path.to_owned(), reader: BufReader::new(file), number: 0, is_over: false })
    }

    fn line(&mut self) -> Result<Option<(Instant, Event)>, String> {
        let mut line = String::new();
        let read = self.reader.by_ref().take(LINE_MAX).read_line(&mut line).map_err(|e| e.to_string())?;
        if read == 0 {
            return Ok(None);
        }
        let Line { at, what } = serde_json::from_str(&line).map_err(|e| format!("no line of a recording: {e}"))?;
        if !(0.0..=TIME_MAX).contains(&at) {
            return Err(format!("{at} is no time in seconds"));
        }
        Ok(Some((Instant::ZERO + Duration::from_secs_f64(at), what.event())))
    }
}

impl Iterator for Lines {
    type Item = Result<(Instant, Event), Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        self.number += 1;
        let line = self.line();
        self.is_over = !matches!(line, Ok(Some(_)));
        let failed = |what| Failure::new(format!("{}, line {}: {what}", self.path.display(), self.number));
        line.map_err(failed).transpose()
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<(Instant, Event)> {
        let whats = [
            What::Looking { target: "h:1".into() },
            What::Connected { scheduler: "h:1".into(), protocol: 43 },
            What::Host { host: 1, text: "Name:a\nMaxJobs:2\n".into() },
            What::Asked { job: 7, host: 1, file: "a.cc".into(), language: 1 },
            What::Begun { job: 7, host: 1 },
            What::Done { job: 7, status: 1, real_ms: 2, bytes_in: 3, bytes_out: 4 },
            What::Local { job: 8, host: 1, file: "x".into() },
            What::LocalDone { job: 8 },
            What::Lost { why: "gone".into() },
        ];
        let at = |n: usize| Instant::from_micros(n as u64 * 1500);
        whats.into_iter().enumerate().map(|(n, what)| (at(n), what.event())).collect()
    }

    #[test]
    fn what_was_recorded_is_read_and_played() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed");
        let mut recorder = Recorder::create(&path).unwrap();
        for (at, event) in events() {
            recorder.write(at, &event).unwrap();
        }
        recorder.write(Instant::ZERO, &Event::Said(Message::Ping)).unwrap();
        recorder.flush().unwrap();
        assert_eq!(read(&path).unwrap(), events());
        let mut played: Vec<_> = play(&path, Clock::start(100.0)).unwrap().iter().collect();
        assert_eq!(played.pop().map(|(_, event)| event), Some(Event::Over));
        assert_eq!(played, events());
    }

    #[test]
    fn a_bad_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed");
        let good = "{\"at\":0.5,\"event\":\"local_done\",\"job\":8}\n";
        for (bad, why) in [
            ("x\n", "no line of a recording"),
            ("{\"at\":-1,\"event\":\"local_done\",\"job\":8}\n", "-1 is no time in seconds"),
            ("{\"at\":1,\"event\":\"flown\"}\n", "no line of a recording: unknown variant"),
        ] {
            std::fs::write(&path, format!("{good}{bad}{good}")).unwrap();
            let text = read(&path).unwrap_err().to_string();
            assert!(text.contains(&format!("feed, line 2: {why}")), "{text}");
            let played: Vec<_> = play(&path, Clock::start(100.0)).unwrap().iter().map(|(_, event)| event).collect();
            assert!(matches!(&played[..], [_, Event::Lost { .. }, Event::Over]), "{played:?}");
        }
        assert!(play(&folder.path().join("none"), Clock::start(1.0)).is_err());
    }
}
