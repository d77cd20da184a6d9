//! The receiver's metrics: what stands at 0 from the start, and what is looked up at every scrape.

use std::sync::Arc;

use latentwire_codec::Mode;
use latentwire_service::admin::MetricsError;
use latentwire_service::measures::{self, Owner};
use latentwire_wire::{Reason, ReceiverLimits, SessionServer, Verdict};

use crate::archive::Archive;
use crate::decoder::Decoder;
use crate::record::verdict_name;
use crate::sink::Sink;

/// Sets the recorder up. A counter that is there from the start lets an alert see its first step.
///
/// # Errors
/// [`MetricsError`] if the Prometheus recorder cannot be installed.
pub fn started(max_concurrent: u32, pool: u16) -> Result<(), MetricsError> {
    measures::started(Owner::Receiver, max_concurrent, pool)?;
    metrics::gauge!("latentwire_buffer_limit_bytes").set(gauge(ReceiverLimits::default().max_buffered_bytes));
    metrics::counter!("latentwire_sessions_total").increment(0);
    metrics::counter!("latentwire_decoder_changes_total").increment(0);
    for reason in Reason::all() {
        for name in ["latentwire_transfers_refused_total", "latentwire_session_errors_total"] {
            metrics::counter!(name, "reason" => reason.as_str()).increment(0);
        }
    }
    for reason in measures::HANDSHAKE_REASONS {
        metrics::counter!("latentwire_handshake_failures_total", "reason" => reason).increment(0);
    }
    for (outcome, mode) in [("stored", Mode::Latent), ("stored", Mode::Exact), ("need_exact", Mode::Latent)] {
        let labels = [("outcome", outcome), ("mode", mode.name())];
        metrics::counter!("latentwire_transfers_total", &labels).increment(0);
    }
    for verdict in [Verdict::Exact, Verdict::Equal, Verdict::Differs, Verdict::Unmeasured] {
        metrics::counter!("latentwire_verdicts_total", "verdict" => verdict_name(verdict)).increment(0);
    }
    Ok(())
}

/// Looks at storage, decoder and sessions. Holds none of them: a scrape must not keep the data folder from closing.
pub fn look(
    archive: &Archive,
    decoder: &Decoder,
    sessions: &Arc<SessionServer<Sink>>,
) -> impl Fn() + Send + Sync + use<> {
    let (quota, decoder, sessions) = (Arc::clone(archive.quota()), decoder.clone(), Arc::downgrade(sessions));
    move || {
        measures::describe(Owner::Receiver);
        metrics::gauge!("latentwire_stored_bytes").set(gauge(quota.stored()));
        metrics::gauge!("latentwire_inference_busy").set(gauge(decoder.busy() as u64));
        if let Some(sessions) = sessions.upgrade() {
            metrics::gauge!("latentwire_open_sessions").set(gauge(sessions.open_sessions() as u64));
            metrics::gauge!("latentwire_buffered_bytes").set(gauge(sessions.buffered_bytes()));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge needs no 53rd bit")]
fn gauge(value: u64) -> f64 {
    value as f64
}
