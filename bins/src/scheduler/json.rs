//! Rows of the text port as JSON.

use ice_core::scheduler::Row;

/// A part of an array with a row a line.
pub fn part(rows: &[Row], is_first: bool, is_last: bool) -> serde_json::Result<String> {
    let mut out = String::from(if is_first { "[" } else { "" });
    for (index, row) in rows.iter().enumerate() {
        out.push_str(if is_first && index == 0 { "\n" } else { ",\n" });
        out.push_str(&serde_json::to_string(row)?);
    }
    out.push_str(if is_last { "\n]\n" } else { "" });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ice_core::scheduler::{EnvironmentRow, Field, HostRow, HostState, JobRow};

    fn array(rows: &[Row]) -> serde_json::Result<String> {
        part(rows, true, true)
    }

    #[test]
    fn parts_make_one_array() {
        let job =
            |id| Row::Job(JobRow { id, state: "PEND", submitter: None, server: None, niceness: 0, file: "f".into() });
        let rows = [1, 2, 3].map(job);
        let parts = [(&rows[..1], true, false), (&rows[1..2], false, false), (&rows[2..], false, true)];
        let parts: String = parts.map(|(rows, first, last)| part(rows, first, last).unwrap()).concat();
        assert_eq!(parts, array(&rows).unwrap());
    }

    #[test]
    fn hosts_and_jobs_are_written_a_line_each() {
        let environments = ["e", "g"].map(|name| EnvironmentRow { target: "x86_64".into(), name: name.into() });
        let host = HostRow {
            id: 2,
            name: "h".into(),
            address: "10.0.0.2".into(),
            port: 10245,
            platform: "x86_64".into(),
            version: 43,
            speed: 163.84,
            pace: 0.1235,
            jobs: 2,
            running: 1,
            local: 1,
            slots: 4,
            load: 0,
            no_remote: false,
            state: HostState::Ready,
            environments: environments.into(),
        };
        let expected = "[\n{\"id\":2,\"name\":\"h\",\"address\":\"10.0.0.2\",\"port\":10245,\"platform\":\"x86_64\",\
                        \"version\":43,\"speed\":163.84,\"pace\":0.1235,\"jobs\":2,\"running\":1,\"local\":1,\"slots\":4,\
                        \"load\":0,\"no_remote\":false,\"state\":\"ready\",\"environments\":\
                        [{\"target\":\"x86_64\",\"name\":\"e\"},{\"target\":\"x86_64\",\"name\":\"g\"}]}\n]\n";
        assert_eq!(array(&[Row::Host(host)]).unwrap(), expected);

        let job = |id, server: Option<&str>, file: &[u8]| {
            let (submitter, server) = (Some("a".into()), server.map(Into::into));
            Row::Job(JobRow { id, state: "WAIT", submitter, server, niceness: 5, file: file.into() })
        };
        let expected = "[\n{\"id\":1,\"state\":\"WAIT\",\"submitter\":\"a\",\"server\":\"h\",\"niceness\":5,\"file\":\"f\"},\n\
                        {\"id\":2,\"state\":\"WAIT\",\"submitter\":\"a\",\"server\":null,\"niceness\":5,\
                        \"file\":\"a\\u001f b\\\"c\\\\d\u{7f}\\n\u{fffd}\"}\n]\n";
        let jobs = [job(1, Some("h"), b"f"), job(2, None, b"a\x1f b\"c\\d\x7f\n\xff")];
        assert_eq!(array(&jobs).unwrap(), expected);
        assert_eq!(array(&[]).unwrap(), "[\n]\n");
        let fields = [("host", Field::Text("h\"".into())), ("value", Field::Number(7)), ("text", Field::Unknown)];
        let expected = "[\n{\"host\":\"h\\\"\",\"value\":7,\"text\":null}\n]\n";
        assert_eq!(array(&[Row::Fields(fields.to_vec())]).unwrap(), expected);
    }
}
