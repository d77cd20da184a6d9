//! The way of one object to the sender, and its answer.

use std::{sync::Arc, time::Duration};

use latentwire_proto::v1::{
    Delivery, ImageHeader, Mode, Policy, SendImageRequest, TransferStatus, send_image_request::Part,
    send_service_client::SendServiceClient,
};
use latentwire_service::dial::{CallerDial, Connection};
use tonic::Request;

use crate::{object::Object, outcome::Failure};

/// What the sender's own deadline is later than ours, so that ours says what happened.
const SENDERS_MARGIN: Duration = Duration::from_secs(5);

/// Hands objects to the sender.
#[derive(Clone)]
pub struct Courier {
    channel: Connection,
    policy: Policy,
    timeout: Duration,
}

/// What is said of an object besides its bytes.
#[derive(Clone, Debug)]
pub struct Label {
    /// Name of a receiver at the sender; empty: its only one.
    pub destination: String,
    /// Id that makes storing it again the same transfer.
    pub transfer_id: [u8; 16],
    /// Its study; empty if the object names none.
    pub study_group: String,
    /// Its place among the objects of its association.
    pub sequence: u32,
    /// Whether it overtakes others at the sender.
    pub urgent: bool,
}

impl Courier {
    /// Connects when the first object is to go, and again whenever the connection was lost.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn new(sender: &CallerDial, policy: Policy, timeout: Duration) -> Self {
        Self { channel: sender.connect_lazy(), policy, timeout }
    }

    /// Delivers an object to the receiver's receipt. One that no latent can hold (no pixels, video) goes as it is.
    ///
    /// Dropping the future gives the object up: what the sender does not have whole then is not sent.
    ///
    /// # Errors
    /// The sender did not say that the receiver has stored it.
    pub async fn deliver(self, object: Arc<Object>, label: Label) -> Result<(), Failure> {
        let both = async {
            let sent = self.send(&object, &label, self.policy.clone()).await;
            match sent {
                Err(failure) if failure.asks_for_exact() && self.policy.mode() != Mode::Exact => {
                    let exact = Policy { mode: Mode::Exact.into(), ..Policy::default() };
                    self.send(&object, &label, exact).await
                }
                ended => ended,
            }
        };
        tokio::time::timeout(self.timeout, both).await.unwrap_or(Err(Failure::TimedOut))
    }

    async fn send(&self, object: &Object, label: &Label, policy: Policy) -> Result<(), Failure> {
        let header = ImageHeader {
            destination: label.destination.clone(),
            transfer_id: label.transfer_id.to_vec().into(),
            policy: Some(policy),
            delivery: Delivery::Wait.into(),
            study_group: label.study_group.clone(),
            sequence: label.sequence,
            file_bytes: object.file_bytes(),
            urgent: label.urgent,
        };
        let parts = std::iter::once(Part::Header(header)).chain(object.pieces().map(Part::Chunk));
        let messages = parts.map(|part| SendImageRequest { part: Some(part) });
        let mut request = Request::new(tokio_stream::iter(messages));
        request.set_timeout(self.timeout + SENDERS_MARGIN);
        let answer = SendServiceClient::new(self.channel.clone()).send_image(request).await;
        let transfer = answer.map_err(|status| Failure::from(&status))?.into_inner().transfer;
        let transfer = transfer.ok_or(Failure::NotDelivered)?;
        let stored = transfer.status() == TransferStatus::Delivered && !transfer.image_id.is_empty();
        if stored && transfer.transfer_id[..] == label.transfer_id[..] {
            Ok(())
        } else {
            Err(Failure::NotDelivered)
        }
    }
}
