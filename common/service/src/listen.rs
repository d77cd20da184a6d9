//! Binding listeners: without TLS on loopback only, unless told.

use std::net::SocketAddr;

use thiserror::Error;
use tokio::net::TcpListener;

use crate::args::ListenArgs;

/// Why a listener was not bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address is beyond loopback, and there is no TLS.
    #[error(
        "{flag} {address} is not a loopback address, and without TLS everything there could be read: listen on 127.0.0.1, or \
         pass --insecure-plaintext-beyond-loopback where something else protects the link"
    )]
    BeyondLoopback {
        /// The flag that says it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The operating system refuses.
    #[error(
        "{flag} {address}: cannot listen there ({cause}): choose another port, or stop what listens there"
    )]
    Bind {
        /// The flag that says it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        cause: std::io::Error,
    },
}

/// Binds the address that `flag` names. Port 0 lets the operating system choose.
///
/// # Errors
/// [`ListenError::BeyondLoopback`] for plaintext beyond loopback without the flag that allows it, [`ListenError::Bind`] if the
/// operating system refuses.
pub async fn bind(
    flag: &'static str,
    address: SocketAddr,
    args: &ListenArgs,
) -> Result<TcpListener, ListenError> {
    if !address.ip().is_loopback() && !args.insecure_plaintext_beyond_loopback {
        return Err(ListenError::BeyondLoopback { flag, address });
    }
    TcpListener::bind(address).await.map_err(|cause| ListenError::Bind { flag, address, cause })
}

/// Whether reflection is served on this address: on loopback always, elsewhere if told.
pub fn serves_reflection(address: SocketAddr, args: &ListenArgs) -> bool {
    address.ip().is_loopback() || args.reflection
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn plaintext_beyond_loopback_needs_the_flag() {
        let everywhere: SocketAddr = "0.0.0.0:0".parse().expect("an address");
        let mut args = ListenArgs::default();
        let error = bind("--listen", everywhere, &args).await.expect_err("not loopback");
        assert!(matches!(error, ListenError::BeyondLoopback { .. }));
        assert!(error.to_string().contains("--insecure-plaintext-beyond-loopback"));
        assert!(!serves_reflection(everywhere, &args));
        args.insecure_plaintext_beyond_loopback = true;
        bind("--listen", everywhere, &args).await.expect("allowed");
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let args = ListenArgs::default();
        let first = bind("--listen", "127.0.0.1:0".parse().expect("an address"), &args).await.expect("free");
        let address = first.local_addr().expect("bound");
        let error = bind("--listen", address, &args).await.expect_err("taken");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
