//! Channels to the services.

use std::error::Error;

use latentwire_service::{grpc, peer_address::PeerAddress};
use tonic::transport::Channel;

use crate::failure::Failure;

/// Connects to `service` at `url`.
///
/// # Errors
/// The URL is malformed (usage), or nobody answers there (`SERVICE_UNREACHABLE`).
pub async fn connect(service: &str, url: &str) -> Result<Channel, Failure> {
    let address: PeerAddress =
        url.parse().map_err(|error: latentwire_service::peer_address::PeerAddressError| {
            Failure::usage(error.to_string())
        })?;
    let connected = grpc::endpoint(&address).connect().await;
    connected.map_err(|error| Failure::unreachable(service, url, &error as &dyn Error))
}
