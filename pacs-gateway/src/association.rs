//! One association after it was agreed on: its messages in, its answers out, to its end.
//!
//! A message is a command set and, for C-STORE, a data set, both in fragments (PS3.7 section 6.3, PS3.8 annex E). Messages are
//! served one after the other, as peers that negotiate no asynchronous operations send them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use dicom_ul::{
    Pdu,
    pdu::{AbortRQServiceProviderReason, AbortRQSource, PDataValue, PDataValueType},
};
use tokio_util::sync::CancellationToken;

use crate::{
    dimse::{MAX_COMMAND_BYTES, Request, Response, StoreRequest},
    measures,
    negotiation::{Agreement, Context},
    object::Gathering,
    outcome::{Failure, SUCCESS, UNRECOGNIZED_OPERATION},
    server::Gateway,
    wire::{Wire, WireFault},
};

/// What a peer gets for its next message while the gateway stops.
const STOPPING_PATIENCE: Duration = Duration::from_secs(2);
/// Smallest PDU that a peer is believed to take.
const MIN_PDU_BYTES: usize = 128;
/// Header of a fragment in a PDU.
const PDV_HEADER_BYTES: usize = 6;

/// How an association ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer released it.
    Released,
    /// The peer aborted it.
    AbortedByPeer,
    /// The connection was lost.
    Lost,
    /// The peer was silent for too long.
    Idle,
    /// The peer sent what it must not.
    Malformed,
    /// The peer went on with an object that was far too large.
    Flooded,
    /// The gateway stopped.
    Stopped,
}

impl Ending {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Released,
        Self::AbortedByPeer,
        Self::Lost,
        Self::Idle,
        Self::Malformed,
        Self::Flooded,
        Self::Stopped,
    ];

    /// A stable word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::AbortedByPeer => "aborted_by_peer",
            Self::Lost => "lost",
            Self::Idle => "idle",
            Self::Malformed => "malformed",
            Self::Flooded => "flooded",
            Self::Stopped => "stopped",
        }
    }

    /// The PDU that ends the association, where one is due.
    #[must_use]
    pub fn last_pdu(self) -> Option<Pdu> {
        let reason = match self {
            Self::AbortedByPeer | Self::Lost => return None,
            Self::Released => return Some(Pdu::ReleaseRP),
            Self::Malformed => AbortRQServiceProviderReason::InvalidPduParameter,
            Self::Idle | Self::Flooded | Self::Stopped => AbortRQServiceProviderReason::ReasonNotSpecified,
        };
        Some(Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) })
    }
}

impl From<WireFault> for Ending {
    fn from(fault: WireFault) -> Self {
        match fault {
            WireFault::Lost => Self::Lost,
            WireFault::Malformed | WireFault::TooLong => Self::Malformed,
            WireFault::TimedOut => Self::Idle,
        }
    }
}

/// An association.
pub struct Association {
    gateway: Arc<Gateway>,
    wire: Wire,
    agreement: Agreement,
    signals: Signals,
    incoming: Incoming,
    /// A PDU that came while an object was on its way.
    waiting: Option<Pdu>,
    tally: Tally,
}

/// What tells an association to end.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Ends it when it rests.
    pub stop: CancellationToken,
    /// Ends it at once.
    pub cut: CancellationToken,
}

/// What came of an association.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Objects that were delivered.
    pub delivered: u32,
    /// Objects that were not.
    pub failed: u32,
}

/// The message that is coming in.
enum Incoming {
    Nothing,
    Command { context: u8, bytes: BytesMut },
    DataSet { context: u8, bytes: u64, purpose: Purpose },
}

/// What becomes of a data set.
enum Purpose {
    /// It is to be delivered.
    Store { arrival: Arrival, gathering: Box<Gathering> },
    /// It will not be; it is passed over, and then the peer is told.
    Refuse { arrival: Arrival, failure: Failure },
    /// It belongs to an operation that is not done here.
    Ignore { command: u16, message_id: u16 },
}

/// A request to store, and when it came.
struct Arrival {
    request: StoreRequest,
    at: Instant,
}

impl Association {
    /// An association that has just been agreed on.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, wire: Wire, agreement: Agreement, signals: Signals) -> Self {
        let (incoming, waiting, tally) = (Incoming::Nothing, None, Tally::default());
        Self { gateway, wire, agreement, signals, incoming, waiting, tally }
    }

    /// Serves it to its end, which the peer is still to be told of over the connection that is given back.
    pub async fn run(mut self) -> (Ending, Tally, Wire) {
        loop {
            let taken = match self.next_pdu().await {
                Ok(pdu) => self.take(pdu).await,
                Err(ending) => Err(ending),
            };
            if let Err(ending) = taken {
                return (ending, self.tally, self.wire);
            }
        }
    }

    async fn next_pdu(&mut self) -> Result<Pdu, Ending> {
        if let Some(pdu) = self.waiting.take() {
            return Ok(pdu);
        }
        let mut begun = Instant::now();
        let mut limit = self.gateway.limits.idle_timeout();
        let rests = matches!(self.incoming, Incoming::Nothing);
        let mut stopping = false;
        loop {
            tokio::select! {
                pdu = self.wire.receive() => return Ok(pdu?),
                () = tokio::time::sleep(limit.saturating_sub(begun.elapsed())) => {
                    return Err(if stopping { Ending::Stopped } else { Ending::Idle });
                }
                () = self.signals.cut.cancelled() => return Err(Ending::Stopped),
                () = self.signals.stop.cancelled(), if rests && !stopping => {
                    stopping = true;
                    (begun, limit) = (Instant::now(), STOPPING_PATIENCE);
                }
            }
        }
    }

    async fn take(&mut self, pdu: Pdu) -> Result<(), Ending> {
        match pdu {
            Pdu::PData { data } => {
                for value in data {
                    self.value(value).await?;
                }
                Ok(())
            }
            Pdu::ReleaseRQ => Err(Ending::Released),
            Pdu::AbortRQ { .. } => Err(Ending::AbortedByPeer),
            Pdu::Unknown { .. }
            | Pdu::AssociationRQ(_)
            | Pdu::AssociationAC(_)
            | Pdu::AssociationRJ(_)
            | Pdu::ReleaseRP => Err(Ending::Malformed),
        }
    }

    async fn value(&mut self, value: PDataValue) -> Result<(), Ending> {
        let id = value.presentation_context_id;
        let context = self.agreement.contexts.get(&id).cloned().ok_or(Ending::Malformed)?;
        match value.value_type {
            PDataValueType::Command => self.command(&context, value).await,
            PDataValueType::Data => self.data_set(&context, value).await,
        }
    }

    /// A fragment of a command set.
    async fn command(&mut self, context: &Context, value: PDataValue) -> Result<(), Ending> {
        let id = value.presentation_context_id;
        let mut bytes = match std::mem::replace(&mut self.incoming, Incoming::Nothing) {
            Incoming::Nothing => BytesMut::new(),
            Incoming::Command { context, bytes } if context == id => bytes,
            Incoming::Command { .. } | Incoming::DataSet { .. } => return Err(Ending::Malformed),
        };
        if bytes.len() + value.data.len() > MAX_COMMAND_BYTES {
            return Err(Ending::Malformed);
        }
        bytes.extend_from_slice(&value.data);
        if !value.is_last {
            self.incoming = Incoming::Command { context: id, bytes };
            return Ok(());
        }
        let request = Request::parse(bytes.freeze()).map_err(|error| {
            tracing::debug!(%error, "not a request");
            Ending::Malformed
        })?;
        let purpose = match request {
            Request::Echo { message_id } => {
                measures::echoed();
                return self.respond(id, &Response::echo(message_id)).await;
            }
            // What it would give up has been answered.
            Request::Cancel { .. } => return Ok(()),
            Request::Store(request) => self.purpose(context, request),
            Request::Other { command, message_id, has_data_set: true } => {
                Purpose::Ignore { command, message_id }
            }
            Request::Other { command, message_id, has_data_set: false } => {
                return self.respond(id, &unrecognized(command, message_id)).await;
            }
        };
        self.incoming = Incoming::DataSet { context: id, bytes: 0, purpose };
        Ok(())
    }

    fn purpose(&self, context: &Context, request: StoreRequest) -> Purpose {
        let arrival = Arrival { request, at: Instant::now() };
        if arrival.request.sop_class != context.abstract_syntax {
            return Purpose::Refuse { arrival, failure: Failure::WrongContext };
        }
        if arrival.request.sop_instance.is_empty() {
            return Purpose::Refuse { arrival, failure: Failure::Uid };
        }
        let gathering = self.gateway.gathering(&arrival.request, context.transfer_syntax);
        Purpose::Store { arrival, gathering: Box::new(gathering) }
    }

    /// A fragment of a data set.
    async fn data_set(&mut self, context: &Context, value: PDataValue) -> Result<(), Ending> {
        let id = value.presentation_context_id;
        let (bytes, purpose) = match std::mem::replace(&mut self.incoming, Incoming::Nothing) {
            Incoming::DataSet { context, bytes, purpose } if context == id => (bytes, purpose),
            Incoming::DataSet { .. } | Incoming::Command { .. } | Incoming::Nothing => {
                return Err(Ending::Malformed);
            }
        };
        let bytes = bytes + value.data.len() as u64;
        // As much again is listened to, so that an honest peer hears that its object is too large.
        if bytes > self.gateway.limits.max_object_bytes.saturating_mul(2) {
            return Err(Ending::Flooded);
        }
        let purpose = match purpose {
            Purpose::Store { arrival, mut gathering } => match gathering.push(&value.data) {
                Ok(()) => Purpose::Store { arrival, gathering },
                Err(refused) => Purpose::Refuse { arrival, failure: refused.into() },
            },
            passed @ (Purpose::Refuse { .. } | Purpose::Ignore { .. }) => passed,
        };
        if !value.is_last {
            self.incoming = Incoming::DataSet { context: id, bytes, purpose };
            return Ok(());
        }
        match purpose {
            Purpose::Store { arrival, gathering } => {
                let outcome = self.deliver(context, &arrival.request, *gathering).await;
                self.answer(id, arrival, outcome).await
            }
            Purpose::Refuse { arrival, failure } => self.answer(id, arrival, Ok(Err(failure))).await,
            Purpose::Ignore { command, message_id } => {
                self.respond(id, &unrecognized(command, message_id)).await
            }
        }
    }

    /// Tells the peer what became of its object, unless the association ended meanwhile.
    async fn answer(
        &mut self,
        context: u8,
        arrival: Arrival,
        outcome: Result<Result<u64, Failure>, Ending>,
    ) -> Result<(), Ending> {
        let Arrival { request, at } = arrival;
        let told = outcome.unwrap_or(Err(Failure::Cancelled));
        measures::stored(&self.agreement.destination, told, at.elapsed());
        match told {
            Ok(_) => self.tally.delivered += 1,
            Err(failure) => {
                self.tally.failed += 1;
                let (status, reason) = (format!("{:04X}", failure.status()), failure.reason());
                tracing::warn!(
                    destination = self.agreement.destination,
                    status,
                    reason,
                    "not stored: {failure}"
                );
            }
        }
        outcome.map(drop)?;
        match told {
            Ok(_) => self.respond(context, &Response::store(&request, SUCCESS, "")).await,
            Err(failure) => {
                let comment = failure.comment();
                self.respond(context, &Response::store(&request, failure.status(), &comment)).await
            }
        }
    }

    /// Delivers an object and listens to the peer meanwhile; gives the bytes of what was delivered.
    async fn deliver(
        &mut self,
        context: &Context,
        request: &StoreRequest,
        gathering: Gathering,
    ) -> Result<Result<u64, Failure>, Ending> {
        let sequence = self.tally.delivered + self.tally.failed + 1;
        let (destination, gateway) = (self.agreement.destination.clone(), Arc::clone(&self.gateway));
        let syntax = context.transfer_syntax;
        let delivery = gateway.deliver(gathering.finish(), request, syntax, destination, sequence);
        tokio::pin!(delivery);
        loop {
            tokio::select! {
                outcome = &mut delivery => return Ok(outcome),
                pdu = self.wire.receive(), if self.waiting.is_none() => {
                    let pdu = pdu?;
                    if matches!(pdu, Pdu::AbortRQ { .. }) {
                        return Err(Ending::AbortedByPeer);
                    }
                    if gives_up(&pdu, request.message_id) {
                        return Ok(Err(Failure::Cancelled));
                    }
                    self.waiting = Some(pdu);
                }
                () = self.signals.cut.cancelled() => return Err(Ending::Stopped),
            }
        }
    }

    async fn respond(&mut self, context: u8, response: &Response<'_>) -> Result<(), Ending> {
        let limit = self.gateway.limits.idle_timeout();
        for value in fragments(context, &response.to_bytes(), self.agreement.peer_max_pdu_bytes) {
            self.wire.send(&Pdu::PData { data: vec![value] }, limit).await?;
        }
        Ok(())
    }
}

/// A command set in fragments, each short enough for a PDU of its own that the peer takes; 0: any length.
fn fragments(context: u8, command: &[u8], peer_max_pdu_bytes: u32) -> Vec<PDataValue> {
    let most = match peer_max_pdu_bytes as usize {
        0 => MAX_COMMAND_BYTES,
        most => most.max(MIN_PDU_BYTES) - PDV_HEADER_BYTES,
    };
    let fragment = |data: &[u8]| PDataValue {
        presentation_context_id: context,
        value_type: PDataValueType::Command,
        is_last: false,
        data: data.to_vec(),
    };
    let mut fragments: Vec<PDataValue> = command.chunks(most).map(fragment).collect();
    if let Some(last) = fragments.last_mut() {
        last.is_last = true;
    }
    fragments
}

fn unrecognized(command: u16, message_id: u16) -> Response<'static> {
    Response::other(command, message_id, UNRECOGNIZED_OPERATION, "only C-ECHO and C-STORE are done here")
}

/// Whether a PDU is a C-CANCEL of this message.
fn gives_up(pdu: &Pdu, message_id: u16) -> bool {
    let Pdu::PData { data } = pdu else { return false };
    let [value] = &data[..] else { return false };
    value.value_type == PDataValueType::Command
        && value.is_last
        && value.data.len() <= MAX_COMMAND_BYTES
        && Request::parse(Bytes::copy_from_slice(&value.data))
            == Ok(Request::Cancel { responded_to: message_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_cut_to_what_the_peer_takes() {
        let command: Vec<u8> = (0..=255).collect();
        for (most, lengths) in
            [(0, vec![256]), (16_384, vec![256]), (134, vec![128, 128]), (10, vec![122, 122, 12])]
        {
            let fragments = fragments(3, &command, most);
            assert_eq!(fragments.iter().map(|fragment| fragment.data.len()).collect::<Vec<_>>(), lengths);
            let ends: Vec<bool> = fragments.iter().map(|fragment| fragment.is_last).collect();
            assert_eq!(ends.iter().filter(|last| **last).count(), 1);
            assert!(ends[ends.len() - 1], "{ends:?}");
            let joined: Vec<u8> = fragments.into_iter().flat_map(|fragment| fragment.data).collect();
            assert_eq!(joined, command);
        }
    }

    #[test]
    fn a_cancel_of_this_message_is_told_from_other_pdus() {
        let cancel = |answered: u8| {
            let head = [0, 0, 0, 1, 2, 0, 0, 0, 0xff, 0x0f];
            let command = [&head[..], &[0, 0, 0x20, 1, 2, 0, 0, 0, answered, 0]].concat();
            let mut values = fragments(1, &command, 0);
            Pdu::PData { data: vec![values.remove(0)] }
        };
        assert!(gives_up(&cancel(7), 7));
        assert!(!gives_up(&cancel(8), 7));
        assert!(!gives_up(&Pdu::ReleaseRQ, 7));
    }
}
