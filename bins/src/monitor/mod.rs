//! What a monitor of a cluster needs but its screen: the program icetop (`bins/icetop`) draws it.
//!
//! The feed of a scheduler is a channel of `Event`s with their times, live or from a recording; `Monitor` is what
//! they come to.

/// The feed of a running scheduler.
pub mod feed;
/// Where the scheduler is.
pub mod finder;
/// The state as text and JSON.
pub mod once;
/// Options of icetop.
pub mod options;
/// Feeds in files.
pub mod recording;

use std::time;

use ice_core::cluster_view::ClusterView;
use ice_core::message::Message;
use ice_core::time::Instant;

pub use options::PROGRAM;

/// What a feed tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A scheduler is looked for.
    Looking {
        /// Its address, or how it is looked for.
        target: String,
    },
    /// A scheduler has let us in. What was known before is of another feed.
    Connected {
        /// Its address.
        scheduler: String,
        /// The protocol version.
        protocol: u32,
    },
    /// There is no scheduler, or no longer; it is tried again.
    Lost {
        /// Why, and what to do.
        why: String,
    },
    /// The scheduler says this.
    Said(Message),
    /// A recording is over.
    Over,
}

/// How it is with the scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// It is looked for.
    Looking(String),
    /// It is there.
    Connected {
        /// Its address.
        scheduler: String,
        /// The protocol version.
        protocol: u32,
    },
    /// It is not there, and why.
    Lost(String),
    /// It was in a recording, which is over.
    Over(String),
}

/// All that a monitor knows.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// The scheduler.
    pub link: Link,
    /// The cluster.
    pub view: ClusterView,
    /// When the view was told last that time passes.
    passed: Instant,
}

/// How often a view is told that time passes.
const PASS: time::Duration = time::Duration::from_secs(1);

impl Monitor {
    /// One that knows nothing yet.
    pub fn new() -> Self {
        Self { link: Link::Looking("a scheduler".to_owned()), view: ClusterView::new(), passed: Instant::ZERO }
    }

    /// Time has passed.
    pub fn pass(&mut self, now: Instant) {
        if now.since(self.passed) >= PASS {
            self.passed = now;
            self.view.pass(now);
        }
    }

    /// Takes in an event.
    pub fn hear(&mut self, at: Instant, event: &Event) {
        match event {
            Event::Looking { target } => self.link = Link::Looking(target.clone()),
            Event::Lost { why } => self.link = Link::Lost(why.clone()),
            Event::Connected { scheduler, protocol } => {
                self.link = Link::Connected { scheduler: scheduler.clone(), protocol: *protocol };
                self.view = ClusterView::new();
            }
            Event::Said(message) => self.view.hear(at, message),
            Event::Over => {
                if let Link::Connected { scheduler, .. } = &self.link {
                    self.link = Link::Over(scheduler.clone());
                }
            }
        }
    }
}

impl Default for Monitor {
    fn default() -> Self {
        Self::new()
    }
}

/// The time of a feed: that of this host since the program began, or that of a recording, which may go faster.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begun: time::Instant,
    speed: f64,
}

impl Clock {
    /// A clock that begins now and goes so many times as fast as time.
    pub fn start(speed: f64) -> Self {
        Self { begun: time::Instant::now(), speed }
    }

    /// What it shows.
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.begun.elapsed().mul_f64(self.speed)
    }

    /// How long it takes until it shows this time.
    fn until(&self, at: Instant) -> time::Duration {
        at.since(self.now()).div_f64(self.speed)
    }
}
