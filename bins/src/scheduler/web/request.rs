//! A request of HTTP, read by `httparse`: what is asked for, or why it is refused.

use thiserror::Error;

/// Maximum length of a request: its line and its headers.
pub const REQUEST_MAX: usize = 8 << 10;
/// Maximum number of headers; browsers send about twenty.
const HEADERS_MAX: usize = 64;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Only the headers of the answer are wanted.
    pub head_only: bool,
    /// What is asked for, without what stands behind a `?`.
    pub path: String,
    query: String,
    host: Option<String>,
}

/// Why there is no answer of the usual kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// What came is no request.
    #[error("this is no HTTP request that is understood here")]
    Nonsense,
    /// It is for another host: a page of somewhere else may have had its name changed to mean this one.
    #[error(
        "this page is for its own host: ask for 127.0.0.1 or localhost (or start the scheduler with --web=ADDRESS)"
    )]
    Foreign,
    /// Nothing is there.
    #[error("nothing is here: try /, /api/status, /api/jobs, /metrics or /healthz")]
    NotFound,
    /// It would change something.
    #[error("only GET and HEAD: nothing can be changed here")]
    Method,
    /// It did not come in time.
    #[error("the request took too long")]
    Late,
    /// It is too long.
    #[error("the request is longer than 8 KiB, or has more than 64 headers")]
    TooLong,
    /// Too many connections.
    #[error("too many requests at a time: try again in a second")]
    Busy,
}

impl Request {
    /// Reads what has come so far; `None` if that is not all yet.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(length)) if length <= REQUEST_MAX => {}
            Ok(httparse::Status::Partial) if bytes.len() < REQUEST_MAX => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLong),
            Err(_) => return Err(Refusal::Nonsense),
        }
        let (Some(method), Some(target)) = (parsed.method, parsed.path) else { return Err(Refusal::Nonsense) };
        let head_only = match method {
            "GET" => false,
            "HEAD" => true,
            _ => return Err(Refusal::Method),
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let host = host(parsed.headers)?;
        // Since 1.1 there must be one.
        if !path.starts_with('/') || host.is_none() && parsed.version != Some(0) {
            return Err(Refusal::Nonsense);
        }
        Ok(Some(Self { head_only, path: path.into(), query: query.into(), host }))
    }

    /// The number of this name behind the `?`.
    pub fn number(&self, name: &str) -> Option<u64> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok())
    }

    /// Whether it is for a name that always means the host that asks.
    pub fn is_for_loopback(&self) -> bool {
        let Some(host) = &self.host else { return true };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
    }
}

/// The one header of this name, if it is there.
fn host(headers: &[httparse::Header<'_>]) -> Result<Option<String>, Refusal> {
    let mut hosts = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    let Some(host) = hosts.next() else { return Ok(None) };
    let text = std::str::from_utf8(host.value).map_err(|_| Refusal::Nonsense)?;
    if hosts.next().is_some() { Err(Refusal::Nonsense) } else { Ok(Some(text.trim().into())) }
}

#[cfg(test)]
mod tests;
