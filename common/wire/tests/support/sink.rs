//! A sink in memory whose every answer a test can order.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use latentwire_sealing::Form;
use latentwire_wire::{
    Announced, Known, Outcome, Peer, Reason, Received, SinkError, TransferId, TransferSink, Verdict,
};
use tokio::sync::Semaphore;

/// What the sink does with a complete transfer.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Order {
    #[default]
    Store,
    /// Latents are answered with NeedExact.
    NeedExact,
    /// Also exact forms are: a bug of the service.
    AlwaysNeedExact,
    Fail(Reason),
    Panic,
}

#[derive(Default)]
struct Orders {
    complete: HashMap<TransferId, Order>,
    admit: HashMap<TransferId, Reason>,
    known: HashMap<TransferId, Reason>,
}

pub struct MemorySink {
    orders: Mutex<Orders>,
    stored: Mutex<HashMap<(String, TransferId), (Known, Received)>>,
    order_of_arrival: Mutex<Vec<TransferId>>,
    /// A permit is taken for each completion: 0 holds them all up.
    pub gate: Semaphore,
    pub admissions: std::sync::Arc<AtomicUsize>,
}

impl Default for MemorySink {
    fn default() -> Self {
        Self {
            orders: Mutex::default(),
            stored: Mutex::default(),
            order_of_arrival: Mutex::default(),
            gate: Semaphore::new(10_000),
            admissions: std::sync::Arc::default(),
        }
    }
}

/// Counts admissions that are held.
pub struct Admission(std::sync::Arc<AtomicUsize>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl MemorySink {
    pub fn on_complete(&self, transfer_id: TransferId, order: Order) {
        self.orders.lock().expect("no test panics with the lock").complete.insert(transfer_id, order);
    }

    pub fn on_admit(&self, transfer_id: TransferId, reason: Reason) {
        self.orders.lock().expect("no test panics with the lock").admit.insert(transfer_id, reason);
    }

    pub fn on_known(&self, transfer_id: TransferId, reason: Reason) {
        self.orders.lock().expect("no test panics with the lock").known.insert(transfer_id, reason);
    }

    pub fn forget_orders(&self) {
        *self.orders.lock().expect("no test panics with the lock") = Orders::default();
    }

    pub fn hold(&self) {
        let held = self.gate.available_permits();
        self.gate.try_acquire_many(held as u32).expect("permits").forget();
    }

    pub fn release(&self) {
        self.gate.add_permits(10_000);
    }

    pub fn len(&self) -> usize {
        self.stored.lock().expect("no test panics with the lock").len()
    }

    pub fn get(&self, peer: &str, transfer_id: TransferId) -> Option<Received> {
        self.stored
            .lock()
            .expect("no test panics with the lock")
            .get(&(peer.to_owned(), transfer_id))
            .map(|(_, received)| received.clone())
    }

    /// Ids in the order in which they arrived whole.
    pub fn arrivals(&self) -> Vec<TransferId> {
        self.order_of_arrival.lock().expect("no test panics with the lock").clone()
    }

    pub fn held_admissions(&self) -> usize {
        self.admissions.load(Ordering::SeqCst)
    }
}

impl TransferSink for MemorySink {
    type Admission = Admission;

    async fn known(&self, peer: &Peer, transfer_id: &TransferId) -> Result<Option<Known>, SinkError> {
        if let Some(reason) = self.orders.lock().expect("no test panics with the lock").known.get(transfer_id)
        {
            return Err(SinkError::new(*reason, "ordered by the test"));
        }
        let stored = self.stored.lock().expect("no test panics with the lock");
        Ok(stored.get(&(peer.name.clone(), *transfer_id)).map(|(known, _)| known.clone()))
    }

    async fn admit(&self, _peer: &Peer, announced: &Announced) -> Result<Admission, SinkError> {
        if let Some(reason) =
            self.orders.lock().expect("no test panics with the lock").admit.get(&announced.transfer_id)
        {
            return Err(SinkError::new(*reason, "ordered by the test"));
        }
        self.admissions.fetch_add(1, Ordering::SeqCst);
        Ok(Admission(std::sync::Arc::clone(&self.admissions)))
    }

    async fn complete(
        &self,
        peer: &Peer,
        received: Received,
        _admission: Admission,
    ) -> Result<Outcome, SinkError> {
        let transfer_id = received.announced.transfer_id;
        self.order_of_arrival.lock().expect("no test panics with the lock").push(transfer_id);
        self.gate.acquire().await.expect("the gate is never closed").forget();
        let form = received.announced.form;
        let order = self
            .orders
            .lock()
            .expect("no test panics with the lock")
            .complete
            .get(&transfer_id)
            .copied()
            .unwrap_or_default();
        match order {
            Order::Fail(reason) => return Err(SinkError::new(reason, "ordered by the test")),
            Order::NeedExact if form == Form::Latent => {
                return Ok(Outcome::NeedExact { reason: "RECONSTRUCTION_DIFFERS" });
            }
            Order::AlwaysNeedExact => return Ok(Outcome::NeedExact { reason: "RECONSTRUCTION_DIFFERS" }),
            Order::Panic => panic!("ordered by the test"),
            Order::Store | Order::NeedExact => {}
        }
        let mut image_id = transfer_id;
        image_id.reverse();
        let source_sha256 =
            received.meta.source_sha256[..].try_into().expect("the session checks the length");
        let verdict = if form == Form::Exact { Verdict::Exact } else { Verdict::Equal };
        let known = Known { image_id, source_sha256, form, verdict };
        let before = self
            .stored
            .lock()
            .expect("no test panics with the lock")
            .insert((peer.name.clone(), transfer_id), (known, received));
        assert!(before.is_none(), "a transfer was stored twice");
        Ok(Outcome::Stored { image_id, verdict, decode_ms: 12.5 })
    }
}
