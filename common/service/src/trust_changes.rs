//! What the audit log says of a trust store that changes under a running service.

use std::sync::Arc;

use latentwire_sealing::TrustStore;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, Event, Kind, Outcome, Party};
use crate::status::RequestError;

/// Writes down every trust store that comes into force, and every key that it no longer admits, until `stop`.
pub async fn write_down_changes(
    audit: Audit,
    mut stores: watch::Receiver<Arc<TrustStore>>,
    stop: CancellationToken,
) {
    let mut before = Arc::clone(&stores.borrow_and_update());
    loop {
        tokio::select! {
            changed = stores.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        let now = Arc::clone(&stores.borrow_and_update());
        for event in changes(&before, &now) {
            if let Err(RequestError::AuditUnavailable) = audit.record(event, None).await {
                tracing::error!("a change of the trust store could not be written to the audit log");
            }
        }
        before = now;
    }
}

fn changes(before: &TrustStore, now: &TrustStore) -> Vec<Event> {
    let mut reloaded = Event::new(Kind::TrustReloaded, Outcome::Success);
    reloaded.detail = Some(format!("{} keys before, {} now", before.entries().len(), now.entries().len()));
    let mut events = vec![reloaded];
    let moment = OffsetDateTime::now_utc();
    for entry in before.entries() {
        let still = now.entries().iter().find(|other| other.key == entry.key);
        let what = match still {
            None => "taken off the trust store",
            Some(other) if other.revoked_at.is_some() && other.revoked_at != entry.revoked_at => "revoked",
            Some(other)
                if other.not_after.is_some_and(|end| end <= moment) && other.not_after != entry.not_after =>
            {
                "no longer valid"
            }
            Some(_) => continue,
        };
        let mut event = Event::new(Kind::KeyRevoked, Outcome::Success);
        let key = Some(entry.key.fingerprint().to_string());
        event.peer = Some(Party { name: Some(entry.name.clone()), key, address: None });
        event.detail = Some(what.to_owned());
        events.push(event);
    }
    events
}
