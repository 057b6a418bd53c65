//! What is answered: a status, headers that allow a browser nothing but this page, and a body.

use std::fmt::Write as _;

use super::request::Refusal;

/// What a browser may do with an answer: run and style by files of this page alone, ask this host alone, be in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Kind of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The page.
    Html,
    /// Its script.
    Script,
    /// Its style.
    Style,
    /// Data.
    Json,
    /// A line for people.
    Text,
    /// What Prometheus reads.
    Metrics,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Script => "text/javascript; charset=utf-8",
            Self::Style => "text/css; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::Metrics => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: &'static str,
    kind: Kind,
    /// A further header.
    more: &'static str,
    body: String,
}

impl Answer {
    /// What was asked for.
    pub fn found(kind: Kind, body: impl Into<String>) -> Self {
        Self { status: "200 OK", kind, more: "", body: body.into() }
    }

    /// The fault is here.
    pub fn failed(why: &str) -> Self {
        Self { status: "503 Service Unavailable", kind: Kind::Text, more: "", body: format!("{why}\n") }
    }

    /// All bytes of it; without its body if only the headers are wanted.
    pub fn bytes(&self, head_only: bool) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {}\r\n", self.status);
        let length = self.body.len();
        let _ = write!(text, "Content-Type: {}\r\nContent-Length: {length}\r\n", self.kind.name());
        let _ = write!(text, "Connection: close\r\nCache-Control: no-store\r\nContent-Security-Policy: {POLICY}\r\n");
        text.push_str("X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nX-Frame-Options: DENY\r\n");
        let _ = write!(text, "Cross-Origin-Resource-Policy: same-origin\r\n{}\r\n", self.more);
        if !head_only {
            text.push_str(&self.body);
        }
        text.into_bytes()
    }
}

impl From<Refusal> for Answer {
    fn from(why: Refusal) -> Self {
        let (status, more) = match why {
            Refusal::Nonsense => ("400 Bad Request", ""),
            Refusal::Foreign => ("421 Misdirected Request", ""),
            Refusal::NotFound => ("404 Not Found", ""),
            Refusal::Method => ("405 Method Not Allowed", "Allow: GET, HEAD\r\n"),
            Refusal::Late => ("408 Request Timeout", ""),
            Refusal::TooLong => ("431 Request Header Fields Too Large", ""),
            Refusal::Busy => ("503 Service Unavailable", "Retry-After: 1\r\n"),
        };
        Self { status, kind: Kind::Text, more, body: format!("{why}\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &Answer, head_only: bool) -> String {
        String::from_utf8(answer.bytes(head_only)).unwrap()
    }

    #[test]
    fn each_answer_has_strict_headers_and_its_length() {
        let all = [Refusal::Nonsense, Refusal::Method, Refusal::Busy].map(Answer::from);
        for answer in all.iter().chain([&Answer::found(Kind::Json, "{\"a\":\"ä\"}"), &Answer::failed("why")]) {
            let shown = text(answer, false);
            let (head, body) = shown.split_once("\r\n\r\n").unwrap();
            for header in [
                "Connection: close",
                "Cache-Control: no-store",
                "X-Content-Type-Options: nosniff",
                "Referrer-Policy: no-referrer",
                "X-Frame-Options: DENY",
            ] {
                assert_eq!(head.lines().filter(|line| *line == header).count(), 1, "{header} in {head}");
            }
            assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
            let policy = head.lines().find_map(|line| line.strip_prefix("Content-Security-Policy: ")).unwrap();
            assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(text(answer, true), format!("{head}\r\n\r\n"), "without the body all else is the same");
        }
    }

    #[test]
    fn refusals_have_their_status() {
        for (why, status) in [
            (Refusal::Nonsense, "400"),
            (Refusal::Foreign, "421"),
            (Refusal::NotFound, "404"),
            (Refusal::Method, "405"),
            (Refusal::Late, "408"),
            (Refusal::TooLong, "431"),
            (Refusal::Busy, "503"),
        ] {
            assert!(text(&why.into(), false).starts_with(&format!("HTTP/1.1 {status} ")));
        }
        assert!(text(&Refusal::Method.into(), false).contains("\r\nAllow: GET, HEAD\r\n"));
    }
}
