//! Connections to the services.

use latentwire_service::dial::{CallerDial, Connection, CredentialArgs, DialError, explain};
use latentwire_service::peer_address::{PeerAddress, PeerAddressError};

use crate::failure::{Exit, Failure};

/// Connects to `service` at `url`, and shows it these credentials.
///
/// # Errors
/// The URL is malformed (usage), a file of the credentials is not as it must be (`CREDENTIALS`), or nobody answers there
/// (`SERVICE_UNREACHABLE`).
pub async fn connect(service: &str, url: &str, credentials: &CredentialArgs) -> Result<Connection, Failure> {
    let dial = dial(url, credentials)?;
    dial.connect().await.map_err(|error| {
        let message = format!(
            "cannot reach {service} at {url}: {}; is it running, and is the port right?",
            explain(&error)
        );
        Failure::new("UNAVAILABLE", "SERVICE_UNREACHABLE", message, Exit::Unreachable)
    })
}

/// What [`connect`] connects by.
///
/// # Errors
/// As [`connect`], but for what only a connection shows.
pub fn dial(url: &str, credentials: &CredentialArgs) -> Result<CallerDial, Failure> {
    let address: PeerAddress =
        url.parse().map_err(|error: PeerAddressError| Failure::usage(error.to_string()))?;
    Ok(CallerDial::new(&address, credentials)?)
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        Self::local("CREDENTIALS", error.to_string())
    }
}
