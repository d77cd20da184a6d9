//! PDUs over a TCP or TLS connection (PS3.8 section 9.3, PS3.15 B.12), with a limit on their length and on every wait.

use std::{io, time::Duration};

use bytes::BytesMut;
use dicom_ul::{
    Pdu,
    association::{self, read_pdu_from_wire_async},
    pdu::{ReadError, write_pdu},
};
use latentwire_service::tls::Accepted;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Room that is made for what comes next, whatever its header says; it grows with what really comes.
const READ_AHEAD_BYTES: usize = 64 << 10;
/// What a peer gets to close the connection after our last PDU.
const LINGER: Duration = Duration::from_secs(2);

/// A connection, read and written in whole PDUs.
pub struct Wire {
    stream: Accepted,
    received: BytesMut,
    max_pdu_bytes: u32,
}

/// Why no PDU came, or went. Nothing of its content is in it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireFault {
    /// The peer closed the connection, or it broke.
    #[error("the connection is lost")]
    Lost,
    /// The bytes are no PDU.
    #[error("the bytes are no PDU")]
    Malformed,
    /// It took too long.
    #[error("nothing came, or went, in time")]
    TimedOut,
    /// The PDU is longer than allowed.
    #[error("the PDU is longer than allowed")]
    TooLong,
}

impl WireFault {
    /// The library's error, without its text, which may quote what the peer sent.
    fn of(error: &association::Error) -> Self {
        if matches!(error, association::Error::ConnectionClosed { .. }) {
            return Self::Lost;
        }
        let association::Error::ReceivePdu { source } = error else { return Self::Malformed };
        if matches!(source, ReadError::PduTooLarge { .. }) {
            Self::TooLong
        } else if matches!(source, ReadError::ReadPdu { .. }) {
            Self::Lost
        } else {
            Self::Malformed
        }
    }
}

impl Wire {
    /// Takes the connection over; a PDU may have `max_pdu_bytes` behind its header.
    #[must_use]
    pub fn new(stream: Accepted, max_pdu_bytes: u32) -> Self {
        Self { stream, received: BytesMut::new(), max_pdu_bytes }
    }

    /// From now on a PDU may have so many bytes behind its header.
    pub fn limit_to(&mut self, max_pdu_bytes: u32) {
        self.max_pdu_bytes = max_pdu_bytes;
    }

    /// The next PDU, whenever it comes. Nothing is lost if the future is dropped: what came of a PDU is kept.
    ///
    /// # Errors
    /// [`WireFault`], but for [`WireFault::TimedOut`].
    pub async fn receive(&mut self) -> Result<Pdu, WireFault> {
        self.received.reserve(READ_AHEAD_BYTES);
        read_pdu_from_wire_async(&mut self.stream, &mut self.received, self.max_pdu_bytes, true)
            .await
            .map_err(|error| WireFault::of(&error))
    }

    /// Sends a PDU.
    ///
    /// # Errors
    /// The connection is lost, or the peer reads nothing for as long as `limit`.
    pub async fn send(&mut self, pdu: &Pdu, limit: Duration) -> Result<(), WireFault> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).map_err(|_| WireFault::Malformed)?;
        let writing = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(limit, writing).await {
            Ok(written) => written.map_err(|_| WireFault::Lost),
            Err(_) => Err(WireFault::TimedOut),
        }
    }

    /// Ends the connection so that the last PDU arrives: a connection that is closed over unread bytes is reset.
    pub async fn end(mut self) {
        let closing = async {
            self.stream.shutdown().await?;
            let mut rest = [0; 4096];
            while self.stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // A peer that is gone, or that does not stop, makes no difference any more.
        let _ = tokio::time::timeout(LINGER, closing).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair(max_pdu_bytes: u32) -> (Wire, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
        let (stream, _) = accepted.expect("accepted");
        (Wire::new(Accepted::Plain(stream), max_pdu_bytes), connected.expect("connected"))
    }

    #[tokio::test]
    async fn a_pdu_survives_an_interrupted_wait() {
        let (mut wire, mut peer) = pair(4096).await;
        let bytes = [5, 0, 0, 0, 0, 4, 0, 0, 0, 0];
        peer.write_all(&bytes[..7]).await.expect("written");
        let waited = tokio::time::timeout(Duration::from_millis(50), wire.receive()).await;
        assert!(waited.is_err(), "half a PDU is none");
        peer.write_all(&bytes[7..]).await.expect("written");
        assert_eq!(wire.receive().await, Ok(Pdu::ReleaseRQ));
    }

    #[tokio::test]
    async fn a_length_field_alone_takes_no_memory() {
        let (mut wire, mut peer) = pair(1 << 20).await;
        peer.write_all(&[4, 0, 0, 0x0f, 0xff, 0xff]).await.expect("written");
        peer.shutdown().await.expect("closed");
        assert_eq!(wire.receive().await, Err(WireFault::Lost));
        assert!(wire.received.capacity() <= 2 * READ_AHEAD_BYTES);
    }

    #[tokio::test]
    async fn what_is_no_pdu_or_too_long_is_told() {
        for (bytes, fault) in [
            (&b"\x04\0\xff\xff\xff\xff"[..], WireFault::TooLong),
            (b"\x04\0\0\0\0\x01\0", WireFault::Malformed),
            (b"", WireFault::Lost),
        ] {
            let (mut wire, mut peer) = pair(4096).await;
            peer.write_all(bytes).await.expect("written");
            peer.shutdown().await.expect("closed");
            assert_eq!(wire.receive().await, Err(fault));
        }
    }
}
