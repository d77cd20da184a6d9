//! Headers checked and files gathered: what a request must get right before anything is done for it.

use std::time::Duration;

use latentwire_codec::Policy;
use latentwire_proto::{
    Bytes,
    v1::{Delivery, ImageHeader, InnerLayer, PaddingPolicy},
};
use latentwire_service::{
    audit::Party,
    convert,
    status::{Failure, RequestError, internal_error, to_status},
};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::{
    destinations::{Destination, Destinations},
    transfer_log::TransferId,
};

/// Longest name of a study, bytes.
const MAX_STUDY_GROUP_BYTES: usize = 256;

/// Largest piece of a file in one message, bytes.
const MAX_CHUNK_BYTES: usize = 1 << 20;

/// Memory set aside for a file before its bytes arrive, however long it says it is.
const FIRST_CAPACITY_BYTES: u64 = 1 << 20;

/// What a client that is sending an image may rest while the service stops.
const STOPPING_PATIENCE: Duration = Duration::from_secs(5);

/// A request whose header is right.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Where it goes.
    pub destination: Destination,
    /// Its id, the client's or drawn.
    pub transfer_id: TransferId,
    /// How to code it.
    pub policy: Policy,
    /// How the length is hidden.
    pub padding: PaddingPolicy,
    /// Cipher below AES-256-GCM.
    pub inner_layer: InnerLayer,
    /// Study that it belongs to; empty if none.
    pub study_group: String,
    /// Place in the study.
    pub sequence: u32,
    /// Overtakes images that are not urgent.
    pub urgent: bool,
    /// Announced length of the file in bytes; 0 if unknown.
    pub file_bytes: u64,
    /// Who asks for it, where callers are told apart; for the audit log.
    pub caller: Option<Party>,
}

impl Accepted {
    /// Checks a header.
    ///
    /// # Errors
    /// The destination is unknown, a field is out of range, the file is announced larger than `max_file_bytes`, or
    /// something is asked for that this version does not do.
    pub fn check(
        header: ImageHeader,
        destinations: &Destinations,
        max_file_bytes: u64,
    ) -> Result<Self, Failure> {
        let destination = destinations
            .find(&header.destination)
            .ok_or_else(|| RequestError::DestinationUnknown { name: header.destination.clone() })?
            .clone();
        match header.delivery() {
            Delivery::Unspecified | Delivery::Wait => {}
            Delivery::Queued => return Err(RequestError::NotEnabled { what: "delivery QUEUED" }.into()),
        }
        let transfer_id = transfer_id(&header.transfer_id)?;
        if header.study_group.len() > MAX_STUDY_GROUP_BYTES {
            let what = format!("must have at most {MAX_STUDY_GROUP_BYTES} bytes");
            return Err(RequestError::InvalidField { field: "header.study_group", what }.into());
        }
        if header.file_bytes > max_file_bytes {
            return Err(RequestError::TooLarge { limit: max_file_bytes }.into());
        }
        let policy = convert::policy_from_proto(header.policy.as_ref())?;
        Ok(Self {
            destination,
            transfer_id,
            policy: policy.codec,
            padding: policy.padding,
            inner_layer: policy.inner_layer,
            study_group: header.study_group,
            sequence: header.sequence,
            urgent: header.urgent,
            file_bytes: header.file_bytes,
            caller: None,
        })
    }
}

/// The client's 16 bytes, or 16 random ones.
fn transfer_id(given: &[u8]) -> Result<TransferId, RequestError> {
    let mut id = [0; 16];
    if !given.is_empty() {
        return convert::id_from_bytes("header.transfer_id", given);
    }
    getrandom::fill(&mut id).map_err(|error| internal_error(&error))?;
    Ok(id)
}

/// The next message of a client's stream; `None` at its end.
///
/// When the service stops, a stream between two images ends at once, and one in the middle of an image when nothing comes
/// for a few seconds, so that no client can hold the stop up.
///
/// # Errors
/// The stream broke, rested for too long, or brought a message over the limit; or the service is stopping.
pub async fn next_message<T>(
    messages: &mut (impl Stream<Item = Result<T, Status>> + Unpin),
    stop: &CancellationToken,
    in_image: bool,
) -> Result<Option<T>, Status> {
    let stopping = async {
        stop.cancelled().await;
        if in_image {
            tokio::time::sleep(STOPPING_PATIENCE).await;
        }
    };
    tokio::select! {
        message = messages.next() => message.transpose().map_err(broken),
        () = stopping => Err(to_status(&RequestError::ShuttingDown.into())),
    }
}

/// A stream's own error; tonic's, over the message limit, gets a reason.
fn broken(status: Status) -> Status {
    if status.code() == Code::OutOfRange {
        let what = format!("must have at most {MAX_CHUNK_BYTES} bytes");
        return to_status(&RequestError::InvalidField { field: "chunk", what }.into());
    }
    status
}

/// A file that arrives in chunks, never longer than announced or allowed.
#[derive(Debug)]
pub struct Gathering {
    bytes: Vec<u8>,
    announced: u64,
    limit: u64,
}

impl Gathering {
    /// Nothing has arrived yet; `announced` is 0 where the length is unknown.
    #[must_use]
    pub fn new(announced: u64, limit: u64) -> Self {
        let capacity = usize::try_from(announced.min(FIRST_CAPACITY_BYTES)).unwrap_or(0);
        Self { bytes: Vec::with_capacity(capacity), announced, limit }
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// The chunk is too large, or the file becomes longer than announced or allowed.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), RequestError> {
        if chunk.len() > MAX_CHUNK_BYTES {
            let what = format!("must have at most {MAX_CHUNK_BYTES} bytes");
            return Err(RequestError::InvalidField { field: "chunk", what });
        }
        let length = self.bytes.len() as u64 + chunk.len() as u64;
        if length > self.limit {
            return Err(RequestError::TooLarge { limit: self.limit });
        }
        if self.announced > 0 && length > self.announced {
            let what = format!("the file is longer than the announced {} bytes", self.announced);
            return Err(RequestError::InvalidField { field: "header.file_bytes", what });
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// Whether as many bytes have come as were announced.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.announced > 0 && self.bytes.len() as u64 == self.announced
    }

    /// The whole file.
    ///
    /// # Errors
    /// It is shorter than announced.
    pub fn finish(self) -> Result<Bytes, RequestError> {
        let received = self.bytes.len() as u64;
        if received < self.announced {
            Err(RequestError::StreamTruncated { received })
        } else {
            Ok(self.bytes.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_refused() {
        let mut whole = Gathering::new(4, 10);
        whole.push(b"ab").expect("room");
        whole.push(b"cd").expect("room");
        assert_eq!(whole.finish().expect("whole")[..], b"abcd"[..]);

        let mut short = Gathering::new(4, 10);
        short.push(b"abc").expect("room");
        assert_eq!(short.finish(), Err(RequestError::StreamTruncated { received: 3 }));

        let long = Gathering::new(4, 10).push(b"abcde");
        assert!(
            matches!(long, Err(RequestError::InvalidField { field: "header.file_bytes", .. })),
            "{long:?}"
        );

        let oversize = Gathering::new(0, 10).push(&[0; 11]);
        assert_eq!(oversize, Err(RequestError::TooLarge { limit: 10 }));

        let coarse = Gathering::new(0, 1 << 30).push(&vec![0; MAX_CHUNK_BYTES + 1]);
        assert!(matches!(coarse, Err(RequestError::InvalidField { field: "chunk", .. })), "{coarse:?}");
    }

    #[test]
    fn a_huge_announcement_reserves_little() {
        assert!(Gathering::new(u64::MAX, u64::MAX).bytes.capacity() <= 1 << 21);
    }

    #[test]
    fn an_id_has_16_bytes_or_is_drawn() {
        assert_eq!(transfer_id(&[7; 16]), Ok([7; 16]));
        assert_ne!(transfer_id(&[]), transfer_id(&[]));
        assert!(matches!(transfer_id(&[7; 15]), Err(RequestError::InvalidField { .. })));
    }
}
