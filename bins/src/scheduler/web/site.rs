//! What is at each path.

use std::sync::Arc;

use super::Identity;
use super::answer::{Answer, Kind};
use super::feed::Feed;
use super::request::{Refusal, Request};
use super::{jobs, metrics, status};

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const TIMELINE: &str = include_str!("timeline.js");
const STYLE: &str = include_str!("page.css");

/// The site.
#[derive(Debug)]
pub struct Site {
    identity: Identity,
    feed: Arc<Feed>,
    /// It is for this host alone.
    is_local: bool,
}

impl Site {
    /// A site.
    pub fn new(identity: Identity, feed: Arc<Feed>, is_local: bool) -> Self {
        Self { identity, feed, is_local }
    }

    /// Answers a request.
    pub fn answer(&self, request: &Request) -> Result<Answer, Refusal> {
        if self.is_local && !request.is_for_loopback() {
            return Err(Refusal::Foreign);
        }
        Ok(match request.path.as_str() {
            "/" => Answer::found(Kind::Html, PAGE),
            "/page.js" => Answer::found(Kind::Script, SCRIPT),
            "/timeline.js" => Answer::found(Kind::Script, TIMELINE),
            "/page.css" => Answer::found(Kind::Style, STYLE),
            "/api/status" => json(status::status(&self.identity, &self.feed)),
            "/api/jobs" => json(jobs::jobs(&self.feed, request.number("since"))),
            "/metrics" => Answer::found(Kind::Metrics, metrics::metrics(&self.identity, &self.feed)),
            "/healthz" => self.health(),
            _ => return Err(Refusal::NotFound),
        })
    }

    /// Whether the loop still answers.
    fn health(&self) -> Answer {
        match self.feed.known().listed_since(HEALTHY) {
            true => Answer::found(Kind::Text, "ok\n"),
            false => Answer::failed("the scheduler's loop has not answered for ten seconds"),
        }
    }
}

/// A scheduler whose last list is older does not work as it should.
const HEALTHY: std::time::Duration = std::time::Duration::from_secs(10);

fn json(written: serde_json::Result<String>) -> Answer {
    written.map_or_else(|error| Answer::failed(&error.to_string()), |text| Answer::found(Kind::Json, text))
}
