//! The sender's end of a session.

mod answers;
mod connect;
mod driver;
mod transfer;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use latentwire_sealing::{PublicKey, SecretKey};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;

use self::driver::{Command, Driver};
use self::transfer::Job;
use crate::{Delivered, Outgoing, Progress, SessionLimits, WireError};

/// An open session with one receiver: any number of tasks may deliver over it.
///
/// Up to four transfers are on the way at once, urgent ones first; one of the four places is kept for urgent ones.
pub struct Uplink {
    commands: mpsc::UnboundedSender<Command>,
    next_ticket: AtomicU64,
    exhausted: Arc<AtomicBool>,
    /// What broke the session, once something has.
    broken: Arc<OnceLock<WireError>>,
    driver: JoinHandle<()>,
    patience: Duration,
}

impl Uplink {
    /// Opens a session (steps 1 and 2): the receiver is authenticated when this returns.
    ///
    /// The channel sets address, TLS, keep-alive and HTTP/2 windows. It must set neither compression nor a timeout for
    /// whole requests (`Endpoint::timeout`): a session is one request.
    ///
    /// # Errors
    /// [`WireError::Crypto`] where the receiver does not hold the pinned key, [`WireError::Peer`] where it refuses us
    /// (HANDSHAKE_FAILED, PEER_NOT_ALLOWED, VERSION_UNSUPPORTED, OVERLOADED), [`WireError::Unavailable`],
    /// [`WireError::Deadline`].
    pub async fn connect(
        channel: Channel,
        identity: &SecretKey,
        receiver: &PublicKey,
        limits: SessionLimits,
    ) -> Result<Self, WireError> {
        let stream = connect::connect(channel, identity, receiver, &limits.timeouts).await?;
        let (commands, orders) = mpsc::unbounded_channel();
        let exhausted = Arc::new(AtomicBool::new(false));
        let broken = Arc::new(OnceLock::new());
        let patience = limits.timeouts.handshake;
        let driver = Driver::new(stream, orders, limits, Arc::clone(&exhausted), Arc::clone(&broken));
        let driver = tokio::spawn(driver.run());
        Ok(Self { commands, next_ticket: AtomicU64::new(0), exhausted, broken, driver, patience })
    }

    /// Delivers one image: returns when its receipt is in and verified, or the receiver proves that it has it already.
    ///
    /// Dropping the future gives the transfer up; what the receiver has stored by then stays stored.
    ///
    /// # Errors
    /// [`WireError::TransferConflict`]: hold the transfer. [`WireError::SessionExpired`], [`WireError::SessionEnded`]: start
    /// a new session.
    /// [`WireError::Peer`] with the receiver's reason; [`WireError::ExactForm`] where the exact form was asked for and
    /// could not be made; otherwise what broke the session. [`WireError::retry`] says what to do.
    pub async fn deliver(
        &self,
        outgoing: Outgoing,
        progress: Option<watch::Sender<Progress>>,
    ) -> Result<Delivered, WireError> {
        let ticket = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let job = Job::new(ticket, outgoing, progress, reply).await?;
        self.commands.send(Command::Deliver(Box::new(job))).map_err(|_| self.over())?;
        let mut guard = Abandon { commands: &self.commands, ticket, armed: true };
        let result = answer.await.unwrap_or_else(|_| Err(self.over()));
        guard.armed = false;
        result
    }

    /// Whether the session takes further transfers; false after its end or once a limit is reached.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.commands.is_closed() && !self.exhausted.load(Ordering::Relaxed)
    }

    /// Ends the session at once, as for a receiver whose key is trusted no more: every transfer in it fails with this reason.
    pub fn end(&self, why: WireError) {
        // Fails only where the session is over.
        let _ = self.commands.send(Command::End(why));
    }

    /// Ends the session in order; transfers that are still open fail.
    pub async fn close(self) {
        let Self { commands, mut driver, patience, .. } = self;
        drop(commands);
        // A receiver that does not end its side within the patience of a handshake is left.
        if timeout(patience, &mut driver).await.is_err() {
            driver.abort();
        }
    }

    fn over(&self) -> WireError {
        over(self.broken.get())
    }
}

/// What a transfer hears that was not begun when the session ended.
fn over(broken: Option<&WireError>) -> WireError {
    match broken {
        Some(cause) => WireError::SessionEnded { cause: Box::new(cause.clone()) },
        None => WireError::SessionExpired { limit: "it is over" },
    }
}

/// Tells the driver when the future of a delivery is dropped.
struct Abandon<'a> {
    commands: &'a mpsc::UnboundedSender<Command>,
    ticket: u64,
    armed: bool,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if self.armed {
            // Fails only where the session, and the transfer with it, is over.
            let _ = self.commands.send(Command::Abandon(self.ticket));
        }
    }
}
