//! What the receiver makes of an Open, and whether its peer may go on.

use std::sync::Arc;
use std::time::Duration;

use latentwire_sealing::{
    Acceptance, ControlKind, CryptoError, InnerLayer, OpenBody, PaddingPolicy, PeerRefusal, Role, tags_equal,
};
use tokio::time::{Instant, timeout};

use super::answers::{Answer, open_ack};
use super::session::{Session, hex};
use super::shared::TransferClaim;
use super::transfer::{Accepted, Receiving, Slot, announced};
use crate::messages::{DISCARD_BYTES, slot_index};
use crate::sink::{Announced, Ending, Peer, SinkError, TransferSink};
use crate::{Reason, WireError};

impl<S: TransferSink> Session<'_, S> {
    /// Takes an Open and answers it; an error ends the session.
    pub(super) async fn open(&mut self, noise: &[u8], bytes: u64) -> Result<(), WireError> {
        let plaintext = self.established.opener.open(ControlKind::Open, noise)?;
        let acceptance = self.established.secrets.accept(&plaintext)?;
        let slot = slot_index(acceptance.body.slot)?;
        if !matches!(self.slots[slot], Slot::Free | Slot::Discarding(_)) {
            return Err(WireError::OutOfOrder { what: "an Open in a slot that is taken" });
        }
        // A key that was revoked or has expired meanwhile opens nothing more.
        self.check_trust()?;
        let asked = Instant::now();
        let announced = announced(&acceptance.body);
        let (answer, next) = self.judge(acceptance, bytes).await?;
        let answer = self.tell_end(&announced, answer).await;
        self.slots[slot] = next;
        self.forgive(asked.elapsed());
        let message = open_ack(&mut self.established.sealer, slot as u32, &answer)?;
        self.answer(message).await
    }

    /// Lets the sink know of an Open that ends with its answer.
    async fn tell_end(&mut self, announced: &Announced, answer: Answer) -> Answer {
        let ending = match &answer {
            Answer::Accepted => return answer,
            Answer::Conflict => Ending::Conflict,
            Answer::Done(known, _) => Ending::Done(known.clone()),
            Answer::Refused(reason) => Ending::Refused(*reason),
        };
        let limit = self.shared.limits.session.timeouts.open;
        match (sink_answer(limit, self.shared.sink.ended(&self.peer, announced, ending)).await, answer) {
            (Err(error), Answer::Done(..)) => Answer::Refused(error.reason),
            (_, answer) => answer,
        }
    }

    /// Decides on an Open: what the peer is told, and what the slot holds from now on.
    async fn judge(
        &mut self,
        acceptance: Acceptance,
        open_bytes: u64,
    ) -> Result<(Answer, Slot<S::Admission>), WireError> {
        let Acceptance { body, content_tag, tags, meta, segments } = acceptance;
        let claim = match self.admit(&body) {
            Ok(claim) => claim,
            Err(error) => return Ok(self.refuse(&body, error.reason(), &error.to_string())),
        };
        let open_timeout = self.shared.limits.session.timeouts.open;
        let sink = &self.shared.sink;
        let known = sink_answer(open_timeout, sink.known(&self.peer, &body.transfer_id)).await;
        match known {
            Err(error) => return Ok(self.refuse(&body, error.reason, &error.detail)),
            Ok(Some(known)) => {
                let answer = if tags_equal(&tags.content(&known.source_sha256), &content_tag) {
                    let tag = tags.receipt(&known.source_sha256);
                    Answer::Done(known, tag)
                } else {
                    tracing::warn!(peer = self.peer.name, transfer = %hex(&body.transfer_id), "transfer id conflict");
                    Answer::Conflict
                };
                return Ok((answer, Slot::Discarding(DISCARD_BYTES)));
            }
            Ok(None) => {}
        }
        let room = match self.shared.reserve(announced(&body).padded_bytes) {
            Ok(room) => room,
            Err(error) => return Ok(self.refuse(&body, error.reason(), &error.to_string())),
        };
        let admission = match sink_answer(open_timeout, sink.admit(&self.peer, &announced(&body))).await {
            Ok(admission) => admission,
            Err(error) => return Ok(self.refuse(&body, error.reason, &error.detail)),
        };
        self.opened += 1;
        self.opened_bytes += body.padded_bytes;
        let deadline = Instant::now() + self.shared.limits.session.timeouts.transfer;
        let receiving = Receiving::new(Accepted {
            body,
            content_tag,
            tags,
            meta,
            segments,
            claim,
            room,
            admission,
            open_bytes,
            deadline,
        });
        Ok((Answer::Accepted, Slot::Receiving(Box::new(receiving))))
    }

    /// The bounds that need no look-up.
    fn admit(&self, body: &OpenBody) -> Result<TransferClaim, WireError> {
        let limits = &self.shared.limits;
        if self.shared.draining.is_cancelled() {
            return Err(WireError::Unavailable { why: "receiver is draining".into() });
        }
        if self.opened >= limits.session.max_transfers {
            return Err(WireError::SessionExpired { limit: "number of transfers" });
        }
        if self.opened_bytes.saturating_add(body.padded_bytes) > limits.session.max_bytes {
            return Err(WireError::SessionExpired { limit: "bytes" });
        }
        if self.born.elapsed() >= limits.session.max_age {
            return Err(WireError::SessionExpired { limit: "age" });
        }
        if body.padded_bytes > limits.max_transfer_bytes {
            let limit = limits.max_transfer_bytes;
            return Err(WireError::TransferTooLarge { bytes: body.padded_bytes, limit });
        }
        if body.inner_layer == InnerLayer::Chaos4 && !limits.allow_chaos4 {
            return Err(WireError::peer(Reason::InnerLayerUnsupported, "CHAOS4 is not allowed here"));
        }
        if body.padding == PaddingPolicy::Rows && !limits.allow_rows {
            return Err(WireError::peer(Reason::SegmentationUnsupported, "rows are not allowed here"));
        }
        if !self.peer.entry.allows_form(body.form) {
            return Err(WireError::peer(Reason::PeerNotAllowed, "its trust entry does not allow this form"));
        }
        self.shared.claim(&self.peer.name, &body.transfer_id)
    }

    fn refuse(&self, body: &OpenBody, reason: Reason, cause: &str) -> (Answer, Slot<S::Admission>) {
        let (peer, transfer) = (self.peer.name.as_str(), hex(&body.transfer_id));
        tracing::info!(peer, transfer, reason = reason.as_str(), cause, "transfer refused");
        (Answer::Refused(reason), Slot::Discarding(DISCARD_BYTES))
    }

    /// Asks the trust store again; the peer's entry may have changed too.
    pub(super) fn check_trust(&mut self) -> Result<(), WireError> {
        self.next_trust_check = Instant::now() + self.shared.limits.trust_check;
        let store = Arc::clone(&self.trust.borrow_and_update());
        let entry = store.check(&self.peer.key, Role::Sender, (self.shared.clock)())?;
        if entry.name != self.peer.name {
            // Transfers are scoped to the name: under another one the peer needs another session.
            let fingerprint = self.peer.key.fingerprint();
            return Err(CryptoError::PeerNotAllowed { fingerprint, why: PeerRefusal::Unknown }.into());
        }
        if *entry != self.peer.entry {
            self.peer = Arc::new(Peer { entry: entry.clone(), ..Peer::clone(&self.peer) });
        }
        Ok(())
    }
}

async fn sink_answer<T>(
    limit: Duration,
    future: impl Future<Output = Result<T, SinkError>>,
) -> Result<T, SinkError> {
    match timeout(limit, future).await {
        Ok(answer) => answer,
        Err(_) => {
            Err(SinkError::new(Reason::Overloaded, format!("the sink did not answer within {limit:?}")))
        }
    }
}
