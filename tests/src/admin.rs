//! A service's admin port.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What the admin port answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The headers, as they came.
    pub headers: String,
    /// The body.
    pub body: String,
}

/// `GET path` at an admin port.
///
/// # Errors
/// Nobody listens there, or the answer is not HTTP.
pub fn get(admin: SocketAddr, path: &str) -> io::Result<Answer> {
    request(admin, "GET", path)
}

/// A request without a body at an admin port.
///
/// # Errors
/// Nobody listens there, or the answer is not HTTP.
pub fn request(admin: SocketAddr, method: &str, path: &str) -> io::Result<Answer> {
    let wait = Duration::from_secs(30);
    let mut stream = TcpStream::connect_timeout(&admin, wait)?;
    stream.set_read_timeout(Some(wait))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let no_http = || io::Error::other(format!("not HTTP: {text:.80}"));
    let (headers, body) = text.split_once("\r\n\r\n").ok_or_else(no_http)?;
    let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(no_http)?;
    Ok(Answer { status, headers: headers.to_owned(), body: body.to_owned() })
}

/// One sample of `/metrics`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name with its labels, as it stands in the text.
    pub series: String,
    /// Name without labels.
    pub name: String,
    /// Value.
    pub value: f64,
}

/// Reads Prometheus' text format 0.0.4.
///
/// # Errors
/// The first line that is neither a comment nor a sample.
pub fn parse_metrics(text: &str) -> Result<Vec<Sample>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|line| sample(line).ok_or_else(|| line.to_owned())).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let name = series.split_once('{').map_or(series, |(name, _)| name);
    let labels_closed = series.len() == name.len() || series.ends_with('}');
    let first = name.bytes().next()?;
    let name_is_one = (first.is_ascii_alphabetic() || first == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':');
    let value = value.parse().ok()?;
    (labels_closed && name_is_one).then(|| Sample { series: series.to_owned(), name: name.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_told_from_what_is_none() {
        let text = "# TYPE a counter\na 1\n\nb_total{code=\"OK\",method=\"x y\"} 2.5\n";
        let samples = parse_metrics(text).expect("two samples");
        assert_eq!(samples.iter().map(|sample| sample.value).collect::<Vec<_>>(), [1.0, 2.5]);
        assert_eq!(samples[1].name, "b_total");
        for broken in ["a", "a b", "1a 2", "a{b=\"c\" 2"] {
            assert_eq!(parse_metrics(broken), Err(broken.to_owned()));
        }
    }
}
