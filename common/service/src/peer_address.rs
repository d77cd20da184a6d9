//! Addresses of gRPC peers as people write them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

/// Where a gRPC peer listens: `https://HOST:PORT`, `http://HOST:PORT`, or short `HOST:PORT` for the latter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddress {
    tls: bool,
    host: String,
    port: u16,
}

/// Why an address was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerAddressError {
    /// Not a host and a port.
    #[error(
        "{text:?} is not an address: write http://HOST:PORT, for example http://127.0.0.1:50051, or https://HOST:PORT"
    )]
    Malformed {
        /// As given.
        text: String,
    },
}

impl PeerAddress {
    /// Host name or IP address, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is `https`.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the address can only be this machine: `localhost` or a loopback IP address.
    pub fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The address as a URI for [`tonic::transport::Endpoint`].
    pub fn uri(&self) -> http::Uri {
        self.to_string().parse().expect("checked when it was parsed")
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        let malformed = || PeerAddressError::Malformed { text: text.to_owned() };
        let (tls, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://").unwrap_or(text)),
        };
        let authority: http::uri::Authority =
            rest.strip_suffix('/').unwrap_or(rest).parse().map_err(|_| malformed())?;
        let port = authority.port_u16().ok_or_else(malformed)?;
        if authority.host().is_empty() || authority.as_str().contains('@') || port == 0 {
            return Err(malformed());
        }
        Ok(Self { tls, host: authority.host().to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_parse() {
        for (text, uri, loopback) in [
            ("http://127.0.0.1:50051", "http://127.0.0.1:50051", true),
            ("http://127.0.0.1:50051/", "http://127.0.0.1:50051", true),
            ("localhost:1", "http://localhost:1", true),
            ("[::1]:9", "http://[::1]:9", true),
            ("https://receiver.example:50061", "https://receiver.example:50061", false),
            ("receiver.example:50061", "http://receiver.example:50061", false),
        ] {
            let address: PeerAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), uri);
            assert_eq!(address.is_loopback(), loopback, "{text}");
            assert_eq!(address.uri().port_u16(), Some(address.port()));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "host",
            "http://",
            "host:0",
            "host:99999",
            "http://a:1/path",
            "user@host:1",
            "a b:1",
            "https://a",
        ] {
            let parsed = text.parse::<PeerAddress>();
            assert!(matches!(parsed, Err(PeerAddressError::Malformed { .. })), "{text:?}: {parsed:?}");
        }
    }
}
