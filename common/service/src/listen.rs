//! Binding listeners: without TLS, and without knowing who calls, on loopback only, unless told.

use std::net::SocketAddr;

use thiserror::Error;
use tokio::net::TcpListener;

use crate::args::{CallersArgs, ListenArgs};
use crate::callers::{CallerFileError, Callers};
use crate::tls::{Listener, ServerTls};

/// Why a listener was not bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address is beyond loopback, and there is no TLS.
    #[error(
        "{flag} {address} is not a loopback address, and without TLS everything there could be read: give it a \
         certificate (--tls-certificate, --tls-key), listen on 127.0.0.1, or pass --insecure-plaintext-beyond-loopback where \
         something else protects the link"
    )]
    BeyondLoopback {
        /// The flag that says it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The address is beyond loopback, and nobody would be asked who calls.
    #[error(
        "{flag} {address} is not a loopback address, and without --callers everybody there could send, fetch and delete: make \
         the file with `latentwire callers add`, listen on 127.0.0.1, or pass --insecure-callers-unauthenticated where something \
         else decides who reaches the port"
    )]
    NoCallers {
        /// The flag that says it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The callers' file.
    #[error(transparent)]
    Callers(#[from] CallerFileError),
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
    tls: Option<&ServerTls>,
) -> Result<Listener, ListenError> {
    if tls.is_none() && !address.ip().is_loopback() && !args.insecure_plaintext_beyond_loopback {
        return Err(ListenError::BeyondLoopback { flag, address });
    }
    let tcp = TcpListener::bind(address).await.map_err(|cause| ListenError::Bind { flag, address, cause })?;
    Ok(Listener { tcp, tls: tls.cloned() })
}

/// Binds an admin port: as [`bind`], but on loopback always without TLS, where probes and `curl` need no certificate.
///
/// # Errors
/// As [`bind`].
pub async fn bind_admin(
    flag: &'static str,
    address: SocketAddr,
    args: &ListenArgs,
    tls: Option<&ServerTls>,
) -> Result<Listener, ListenError> {
    bind(flag, address, args, tls.filter(|_| !address.ip().is_loopback())).await
}

/// Who may call at the address that `flag` names: the callers' file; `None` is everybody, on loopback or where a flag says so.
///
/// # Errors
/// [`ListenError::NoCallers`] beyond loopback without a file and without the flag that allows it, [`ListenError::Callers`]
/// where the file is not as it must be.
pub fn callers(
    flag: &'static str,
    address: SocketAddr,
    args: &CallersArgs,
) -> Result<Option<Callers>, ListenError> {
    match &args.callers {
        Some(path) => Ok(Some(Callers::load(path)?)),
        None if address.ip().is_loopback() => Ok(None),
        None if args.insecure_callers_unauthenticated => {
            tracing::warn!(%address, "everybody who reaches this port may call: --insecure-callers-unauthenticated");
            Ok(None)
        }
        None => Err(ListenError::NoCallers { flag, address }),
    }
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
        let error = bind("--listen", everywhere, &args, None).await.map(drop).expect_err("not loopback");
        assert!(matches!(error, ListenError::BeyondLoopback { .. }));
        assert!(error.to_string().contains("--insecure-plaintext-beyond-loopback"));
        assert!(!serves_reflection(everywhere, &args));
        args.insecure_plaintext_beyond_loopback = true;
        bind("--listen", everywhere, &args, None).await.expect("allowed");
    }

    #[test]
    fn callers_are_asked_for_beyond_loopback_unless_a_flag_says_not_to() {
        let (everywhere, here): (SocketAddr, SocketAddr) =
            ("0.0.0.0:1".parse().expect("an address"), "[::1]:1".parse().expect("an address"));
        let mut args = CallersArgs::default();
        let error = callers("--listen", everywhere, &args).expect_err("nobody is asked");
        assert!(error.to_string().contains("latentwire callers add"), "{error}");
        assert!(callers("--listen", here, &args).expect("loopback").is_none());
        args.insecure_callers_unauthenticated = true;
        assert!(callers("--listen", everywhere, &args).expect("told").is_none());
        args.callers = Some("/nowhere/callers.toml".into());
        for address in [everywhere, here] {
            callers("--listen", address, &args).expect_err("a file that is named holds, or nothing starts");
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let args = ListenArgs::default();
        let first =
            bind("--listen", "127.0.0.1:0".parse().expect("an address"), &args, None).await.expect("free");
        let address = first.tcp.local_addr().expect("bound");
        let error = bind("--listen", address, &args, None).await.map(drop).expect_err("taken");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
