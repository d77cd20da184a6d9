//! The DICOM port: connections in, associations agreed on or rejected, objects on their way.

use std::{net::IpAddr, sync::Arc, time::Duration};

use dicom_dictionary_std::tags;
use dicom_ul::{Pdu, pdu::AssociationRQ};
use latentwire_service::drain::Drain;
use latentwire_service::tls::{Accepted, Listener, Protocol, ServerTls};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    association::{Association, Ending, Signals},
    config::LimitArgs,
    delivery::{Courier, Label},
    dimse::StoreRequest,
    elements::{self, Encoding},
    identity::Identity,
    measures,
    negotiation::{Agreement, Rejection, negotiate},
    object::{Buffer, Gathering, Object},
    outcome::Failure,
    policy::Urgent,
    titles::Titles,
    wire::Wire,
};

/// Connections beyond the associations: those that have not asked yet, and those that are told that there is no room.
const CONNECTIONS_BESIDE: usize = 64;
/// Longest PDU before an association is agreed on: 128 presentation contexts with every transfer syntax.
const MAX_REQUEST_BYTES: u32 = 128 << 10;
/// What a peer gets to take our last PDU.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);
/// Pause when the operating system has no connection left to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all associations share.
pub struct Gateway {
    /// How much is taken on.
    pub limits: LimitArgs,
    titles: Titles,
    urgent: Urgent,
    identity: Identity,
    courier: Courier,
    buffer: Buffer,
    associations: Arc<Semaphore>,
}

/// What a gateway has at work.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Associations that are open.
    pub associations: usize,
    /// Most associations.
    pub associations_limit: usize,
    /// Bytes of objects in memory.
    pub buffered_bytes: usize,
    /// Most bytes of objects in memory.
    pub buffer_limit_bytes: usize,
}

impl Gateway {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(
        limits: LimitArgs,
        titles: Titles,
        urgent: Urgent,
        identity: Identity,
        courier: Courier,
    ) -> Self {
        let buffer = Buffer::new(limits.max_buffered_bytes);
        let associations = Arc::new(Semaphore::new(limits.max_associations.into()));
        Self { limits, titles, urgent, identity, courier, buffer, associations }
    }

    /// What is at work now.
    #[must_use]
    pub fn load(&self) -> Load {
        let limit = usize::from(self.limits.max_associations);
        Load {
            associations: limit - self.associations.available_permits(),
            associations_limit: limit,
            buffered_bytes: self.buffer.used_bytes(),
            buffer_limit_bytes: self.buffer.limit_bytes(),
        }
    }

    /// An object that is about to come in.
    #[must_use]
    pub fn gathering(&self, request: &StoreRequest, transfer_syntax: &str) -> Gathering {
        let StoreRequest { sop_class, sop_instance, .. } = request;
        let limit = self.limits.max_object_bytes;
        Gathering::new(sop_class, sop_instance, transfer_syntax, limit, &self.buffer)
    }

    /// Delivers an object to the receiver's receipt; gives its bytes.
    ///
    /// # Errors
    /// [`Failure`]: it is not known to have been stored.
    pub async fn deliver(
        self: Arc<Self>,
        object: Object,
        request: &StoreRequest,
        transfer_syntax: &str,
        destination: String,
        sequence: u32,
    ) -> Result<u64, Failure> {
        let study = study_of(&object, request, transfer_syntax)?;
        let transfer_id = self.identity.transfer_id(&destination, &request.sop_instance, &object.sha256());
        let label = Label {
            destination,
            transfer_id,
            study_group: study.map(|study| self.identity.study_group(&study)).unwrap_or_default(),
            sequence,
            urgent: self.urgent.applies(request.high_priority),
        };
        let (id, bytes) = (hex::encode(transfer_id), object.file_bytes());
        let destination = label.destination.clone();
        match self.courier.clone().deliver(Arc::new(object), label).await {
            Ok(()) => {
                tracing::info!(transfer_id = id, destination, bytes, "delivered");
                Ok(bytes)
            }
            Err(failure) => {
                tracing::info!(
                    transfer_id = id,
                    destination,
                    bytes,
                    reason = failure.reason(),
                    "not delivered"
                );
                Err(failure)
            }
        }
    }
}

/// Checks that the data set is the one that was announced; gives its Study Instance UID, if it has one.
fn study_of(
    object: &Object,
    request: &StoreRequest,
    transfer_syntax: &str,
) -> Result<Option<String>, Failure> {
    let wanted = [tags::SOP_CLASS_UID, tags::SOP_INSTANCE_UID, tags::STUDY_INSTANCE_UID];
    let [class, instance, study] = elements::find(object.data_set(), Encoding::of(transfer_syntax), wanted)?
        .map(|value| value.as_deref().and_then(elements::uid).map(str::to_owned));
    if class.as_ref() != Some(&request.sop_class) || instance.as_ref() != Some(&request.sop_instance) {
        return Err(Failure::Mismatch);
    }
    Ok(study)
}

/// Serves the port until `drain` begins; what is open then is the drain's to wait for, and `signals.cut` ends it.
pub async fn serve(gateway: Arc<Gateway>, listener: Listener, drain: Drain, signals: Signals) {
    let most = usize::from(gateway.limits.max_associations) + CONNECTIONS_BESIDE;
    let connections = Arc::new(Semaphore::new(most));
    for number in 1_u64.. {
        let accepted = tokio::select! {
            accepted = listener.tcp.accept() => accepted,
            () = signals.stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok((stream, address)) => (stream, address.ip()),
            Err(error) => {
                tracing::warn!(%error, "the DICOM port cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            measures::dropped();
            tracing::warn!(%peer, "connection closed: too many are open");
            continue;
        };
        let connection = Connection { gateway: Arc::clone(&gateway), number, peer, signals: signals.clone() };
        let tls = listener.tls.clone();
        drain.tasks().spawn(async move {
            connection.serve(stream, tls.as_ref()).await;
            drop(permit);
        });
    }
}

/// A connection.
struct Connection {
    gateway: Arc<Gateway>,
    number: u64,
    peer: IpAddr,
    signals: Signals,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<&ServerTls>) {
        let accepted = tokio::select! {
            accepted = Accepted::new(stream, tls, Protocol::Dicom) => accepted,
            () = self.signals.stop.cancelled() => return,
        };
        // A peer that does not finish the handshake is counted and logged there.
        let Ok(stream) = accepted else { return };
        let mut wire = Wire::new(stream, MAX_REQUEST_BYTES);
        let request = match self.request(&mut wire).await {
            Ok(request) => request,
            Err(ending) => return self.give_up(wire, ending).await,
        };
        let (agreement, answer, permit) = match self.agree(request) {
            Ok(agreed) => agreed,
            Err(rejection) => return self.reject(wire, rejection).await,
        };
        wire.limit_to(self.gateway.limits.max_pdu_bytes);
        if let Err(fault) = wire.send(&answer, self.gateway.limits.idle_timeout()).await {
            return self.give_up(wire, fault.into()).await;
        }
        let association = self.number;
        tracing::debug!(association, peer = %self.peer, contexts = agreement.contexts.len(), "association");
        let serving = Association::new(Arc::clone(&self.gateway), wire, agreement, self.signals.clone());
        let (ending, tally, wire) = serving.run().await;
        // Before the peer hears of the end, and may come again.
        drop(permit);
        measures::ended(ending);
        let (word, delivered, failed) = (ending.word(), tally.delivered, tally.failed);
        tracing::info!(association, peer = %self.peer, ending = word, delivered, failed, "association ended");
        take_leave(wire, ending.last_pdu()).await;
    }

    /// The first PDU, which must ask for an association.
    async fn request(&self, wire: &mut Wire) -> Result<AssociationRQ, Ending> {
        let pdu = tokio::select! {
            pdu = wire.receive() => pdu?,
            () = tokio::time::sleep(self.gateway.limits.idle_timeout()) => return Err(Ending::Idle),
            () = self.signals.stop.cancelled() => return Err(Ending::Stopped),
        };
        match pdu {
            Pdu::AssociationRQ(request) => Ok(request),
            Pdu::AbortRQ { .. } => Err(Ending::AbortedByPeer),
            Pdu::Unknown { .. }
            | Pdu::AssociationAC(_)
            | Pdu::AssociationRJ(_)
            | Pdu::PData { .. }
            | Pdu::ReleaseRQ
            | Pdu::ReleaseRP => Err(Ending::Malformed),
        }
    }

    fn agree(&self, request: AssociationRQ) -> Result<(Agreement, Pdu, OwnedSemaphorePermit), Rejection> {
        if self.signals.stop.is_cancelled() {
            return Err(Rejection::Stopping);
        }
        let gateway = &self.gateway;
        let (agreement, answer) = negotiate(request, &gateway.titles, gateway.limits.max_pdu_bytes)?;
        let permit = Arc::clone(&gateway.associations).try_acquire_owned().map_err(|_| Rejection::Limit)?;
        Ok((agreement, Pdu::AssociationAC(answer), permit))
    }

    async fn reject(&self, wire: Wire, rejection: Rejection) {
        measures::rejected(rejection);
        let reason = rejection.reason();
        tracing::warn!(association = self.number, peer = %self.peer, reason, "association rejected: {rejection}");
        take_leave(wire, Some(Pdu::AssociationRJ(rejection.to_pdu()))).await;
    }

    /// Ends a connection that never became an association.
    async fn give_up(&self, wire: Wire, ending: Ending) {
        measures::connection_failed(ending);
        tracing::debug!(association = self.number, peer = %self.peer, ending = ending.word(), "no association");
        take_leave(wire, ending.last_pdu()).await;
    }
}

/// Ends a connection, with a last PDU where one is due.
async fn take_leave(mut wire: Wire, last: Option<Pdu>) {
    let Some(pdu) = last else { return };
    // A peer that cannot be told, or that does not listen, is left alone.
    if wire.send(&pdu, LEAVE_PATIENCE).await.is_ok() {
        wire.end().await;
    }
}
