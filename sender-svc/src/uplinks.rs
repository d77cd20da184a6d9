//! One live session per destination, shared by all transfers that go there.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use latentwire_service::sealing::{CryptoError, PublicKey, Role, SecretKey, TrustStore};
use latentwire_service::{
    dial::{Dial, explain},
    status::{Failure, RequestError},
    trust::Trust,
};
use latentwire_wire::{Reason, SessionLimits, Uplink, WireError};
use time::OffsetDateTime;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::{
    destinations::{Destination, Destinations},
    measures,
};

/// How soon a key whose time is over is found in an open session.
const TRUST_CHECK: Duration = Duration::from_secs(1);

/// The sessions to the configured destinations.
pub struct Uplinks {
    identity: SecretKey,
    limits: SessionLimits,
    by_name: BTreeMap<String, Lane>,
    /// Which receivers' keys count; all that are pinned, where there is none.
    trust: Option<Trust>,
}

/// The session to one destination: none yet, or the one that new transfers take.
///
/// A session that is replaced lives on until the last transfer in it has ended.
#[derive(Default)]
struct Lane {
    live: RwLock<Option<Arc<Uplink>>>,
    /// The pinned key that the receiver had when the last session was agreed.
    agreed: RwLock<Option<PublicKey>>,
    connecting: Mutex<()>,
}

impl Uplinks {
    /// No session yet.
    #[must_use]
    pub fn new(
        identity: SecretKey,
        destinations: &Destinations,
        limits: SessionLimits,
        trust: Option<Trust>,
    ) -> Self {
        let lanes = destinations.iter().map(|destination| (destination.name.clone(), Lane::default()));
        Self { identity, limits, by_name: lanes.collect(), trust }
    }

    /// Logs each pinned key that the trust store does not admit now: nothing will go there.
    pub fn say_who_is_not_trusted(&self, destinations: &Destinations) {
        for destination in destinations.iter() {
            for cause in destination.public_keys.iter().filter_map(|key| self.admits(key).err()) {
                tracing::warn!(destination = destination.name, %cause, "a pinned key is not trusted");
            }
        }
    }

    /// Whether a receiver's key counts now.
    fn admits(&self, key: &PublicKey) -> Result<(), CryptoError> {
        let Some(trust) = &self.trust else { return Ok(()) };
        trust.current().check(key, Role::Receiver, OffsetDateTime::now_utc()).map(drop)
    }

    /// Ends the sessions whose receivers' keys are trusted no more: when the store changes, and when a key's time is over.
    pub async fn keep_to(&self, mut changes: watch::Receiver<Arc<TrustStore>>, stop: CancellationToken) {
        loop {
            for (name, lane) in &self.by_name {
                let Some(key) = lane.agreed() else { continue };
                if let (Err(cause), Some(uplink)) = (self.admits(&key), lane.live()) {
                    tracing::warn!(destination = name, %cause, "the session ends: its receiver is trusted no more");
                    uplink.end(cause.into());
                    lane.set(None);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(TRUST_CHECK) => {}
            }
        }
    }

    /// The session to take, made if there is none; callers that come meanwhile wait for the same one.
    ///
    /// # Errors
    /// The receiver cannot be reached, or key agreement fails.
    pub async fn get(&self, destination: &Destination) -> Result<Arc<Uplink>, Failure> {
        let lane = self
            .by_name
            .get(&destination.name)
            .ok_or_else(|| RequestError::DestinationUnknown { name: destination.name.clone() })?;
        if let Some(uplink) = self.trusted(lane) {
            return Ok(uplink);
        }
        let _connecting = lane.connecting.lock().await;
        if let Some(uplink) = self.trusted(lane) {
            return Ok(uplink);
        }
        let connected = self.connect(destination).await;
        let connected = connected.inspect_err(|failure| measures::session_failed(&destination.name, failure));
        let (uplink, key) = connected?;
        let uplink = Arc::new(uplink);
        *lane.agreed.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
        lane.set(Some(Arc::clone(&uplink)));
        Ok(uplink)
    }

    /// The live session, where its receiver is still trusted.
    fn trusted(&self, lane: &Lane) -> Option<Arc<Uplink>> {
        lane.live().filter(|_| lane.agreed().is_none_or(|key| self.admits(&key).is_ok()))
    }

    /// Lets new transfers take a fresh session instead of this one.
    pub fn retire(&self, destination: &Destination, uplink: &Arc<Uplink>) {
        let Some(lane) = self.by_name.get(&destination.name) else { return };
        let mut live = lane.live.write().unwrap_or_else(PoisonError::into_inner);
        if live.as_ref().is_some_and(|live| Arc::ptr_eq(live, uplink)) {
            *live = None;
        }
    }

    /// Whether a session is open, by destination.
    pub fn open(&self) -> impl Iterator<Item = (&str, bool)> {
        self.by_name.iter().map(|(name, lane)| (name.as_str(), lane.live().is_some()))
    }

    /// The receiver's key in the last session that was agreed, if there was one.
    pub fn key_of(&self, destination: &Destination) -> Option<PublicKey> {
        self.by_name.get(&destination.name)?.agreed()
    }

    /// Ends every session in which no transfer is under way.
    pub async fn close(&self) {
        for lane in self.by_name.values() {
            let uplink = lane.live.write().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(uplink) = uplink.and_then(Arc::into_inner) {
                uplink.close().await;
            }
        }
    }

    async fn connect(&self, destination: &Destination) -> Result<(Uplink, PublicKey), Failure> {
        let unavailable =
            |cause: String| RequestError::PeerUnavailable { destination: destination.name.clone(), cause };
        let dial = Dial::new(&destination.address, &destination.tls);
        let dial = dial.map_err(|error| {
            tracing::error!(destination = destination.name, %error, "TLS cannot be set up");
            unavailable("TLS cannot be set up there: the sender's log says why".to_owned())
        })?;
        let channel = dial.connect().await.map_err(|error| unavailable(explain(&error)))?;
        let (uplink, key) = self.agree(channel, destination).await.map_err(|error| {
            let WireError::Unavailable { why } = error else { return Failure::from(error) };
            // Somebody answers, but no receiver: most often the port is another service's.
            unavailable(format!("no receiver answers there: {}", why.trim_end_matches([':', ' ']))).into()
        })?;
        if destination.public_keys.first() != Some(&key) {
            let fingerprint = key.fingerprint();
            tracing::info!(destination = destination.name, %fingerprint, "the receiver has its next key");
        }
        tracing::info!(destination = destination.name, "session is up");
        measures::session_set_up(&destination.name);
        Ok((uplink, key))
    }

    /// Agrees on keys with the first pinned identity that the receiver has; says which.
    ///
    /// A key that the trust store does not admit is not tried. A receiver that has none of the identity asked for answers HANDSHAKE_FAILED, and learns from the first message
    /// nothing that it could not learn from the second. Any other failure is the receiver's own word, and ends the search.
    async fn agree(
        &self,
        channel: Channel,
        destination: &Destination,
    ) -> Result<(Uplink, PublicKey), WireError> {
        let mut refused = WireError::Internal("a destination without a pinned key");
        for key in &destination.public_keys {
            if let Err(cause) = self.admits(key) {
                tracing::warn!(destination = destination.name, %cause, "a pinned key is not trusted");
                refused = cause.into();
                continue;
            }
            match Uplink::connect(channel.clone(), &self.identity, key, self.limits.clone()).await {
                Ok(uplink) => return Ok((uplink, *key)),
                Err(error) if error.reason() == Reason::HandshakeFailed => refused = error,
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }
}

impl Lane {
    fn live(&self) -> Option<Arc<Uplink>> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.clone().filter(|uplink| uplink.is_open())
    }

    fn agreed(&self) -> Option<PublicKey> {
        *self.agreed.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, uplink: Option<Arc<Uplink>>) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = uplink;
    }
}
