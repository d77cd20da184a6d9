//! The sender's metrics: what stands at 0 from the start, what is counted, and what is looked up at every scrape.

use std::sync::{Arc, Weak};

use latentwire_codec::{Mode, model::Modality};
use latentwire_proto::v1::{self, ImageSummary};
use latentwire_service::{
    admin::MetricsError,
    convert,
    measures::{self, HANDSHAKE_REASONS, Owner},
    status::{Failure, reason, reason_of, to_status},
};

use crate::{destinations::Destinations, engine::Engine};

/// How a delivered image may have travelled.
const OUTCOMES: [&str; 7] = [
    "latent",
    "latent_below_floor",
    "latent_unmeasured",
    "exact_requested",
    "exact_below_floor",
    "exact_not_confirmed",
    "exact_unsuitable",
];

/// Sets the recorder up. A counter that is there from the start lets an alert see its first step.
///
/// # Errors
/// [`MetricsError`] if the Prometheus recorder cannot be installed.
pub fn started(max_concurrent: u32, pool: u16, destinations: &Destinations) -> Result<(), MetricsError> {
    measures::started(Owner::Sender, max_concurrent, pool)?;
    metrics::counter!("latentwire_transfer_retries_total").increment(0);
    for modality in Modality::ALL {
        for outcome in OUTCOMES {
            images(modality.name(), outcome).increment(0);
        }
    }
    for destination in destinations.iter() {
        let name = destination.name.as_str();
        transfers(name, "delivered", "").increment(0);
        for reason in reason::ALL {
            transfers(name, "rejected", reason).increment(0);
        }
        in_flight(name).set(0.0);
        sessions(name).increment(0);
        for reason in HANDSHAKE_REASONS {
            handshake_failures(name, reason).increment(0);
        }
    }
    Ok(())
}

/// Looks at the engine, which it does not hold.
pub fn look(engine: Weak<Engine>) -> impl Fn() + Send + Sync {
    move || {
        measures::describe(Owner::Sender);
        let Some(load) = Weak::upgrade(&engine).map(|engine: Arc<Engine>| engine.load()) else { return };
        metrics::gauge!("latentwire_inference_busy").set(gauge(load.coding));
        metrics::gauge!("latentwire_files_in_memory").set(gauge(load.files));
        metrics::gauge!("latentwire_files_limit").set(gauge(load.files_limit));
        for (destination, open) in load.open_sessions {
            metrics::gauge!("latentwire_open_sessions", "destination" => destination)
                .set(f64::from(u8::from(open)));
        }
    }
}

/// Counts a transfer that was delivered.
pub fn delivered(destination: &str) {
    transfers(destination, "delivered", "").increment(1);
    metrics::gauge!("latentwire_last_delivery_timestamp_seconds", "destination" => destination.to_owned())
        .set(measures::unix_now());
}

/// Counts a transfer that was not.
pub fn rejected(destination: &str, reason: &str) {
    transfers(destination, "rejected", reason).increment(1);
}

/// Counts a transfer that takes a fresh session.
pub fn tried_again() {
    metrics::counter!("latentwire_transfer_retries_total").increment(1);
}

/// Counts a session that was set up.
pub fn session_set_up(destination: &str) {
    sessions(destination).increment(1);
}

/// Counts a session that could not be.
pub fn session_failed(destination: &str, failure: &Failure) {
    handshake_failures(destination, &reason_of(&to_status(failure))).increment(1);
}

/// Counts what was delivered. `asked` is the mode of the request; `not_confirmed` says that the receiver took the exact form
/// in place of a latent.
pub fn observe(summary: &ImageSummary, asked: Mode, not_confirmed: bool) {
    metrics::counter!("latentwire_original_bytes_total").increment(summary.original_bytes);
    metrics::counter!("latentwire_coded_bytes_total").increment(summary.coded_bytes);
    metrics::counter!("latentwire_sealed_bytes_total").increment(summary.sealed_bytes);
    let modality = convert::modality_from_proto(summary.modality()).unwrap_or(Modality::Other).name();
    images(modality, outcome(summary, asked, not_confirmed)).increment(1);
    if let Some(fidelity) = summary.fidelity.as_ref().filter(|_| summary.mode() == v1::Mode::Latent) {
        metrics::histogram!("latentwire_ssim", "modality" => modality).record(fidelity.ssim);
    }
    let timings = summary.timings.unwrap_or_default();
    for (step, ms) in [
        ("prepare", timings.prepare_ms),
        ("encode", timings.encode_ms),
        ("code", timings.code_ms),
        ("seal", timings.seal_ms),
        ("transfer", timings.transfer_ms),
    ] {
        metrics::histogram!("latentwire_step_seconds", "step" => step).record(ms / 1000.0);
    }
}

fn outcome(summary: &ImageSummary, asked: Mode, not_confirmed: bool) -> &'static str {
    match (summary.mode(), asked) {
        (v1::Mode::Latent, _) if summary.below_floor => "latent_below_floor",
        (v1::Mode::Latent, _) if !summary.measured => "latent_unmeasured",
        (v1::Mode::Latent, _) => "latent",
        (_, Mode::Exact) => "exact_requested",
        _ if not_confirmed => "exact_not_confirmed",
        _ if summary.below_floor => "exact_below_floor",
        _ => "exact_unsuitable",
    }
}

/// A transfer that is under way, until it is dropped.
pub struct InFlight(metrics::Gauge);

impl InFlight {
    /// Counts it in.
    pub fn begin(destination: &str) -> Self {
        let gauge = in_flight(destination);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn transfers(destination: &str, status: &'static str, reason: &str) -> metrics::Counter {
    let labels = [
        ("destination", destination.to_owned()),
        ("status", status.to_owned()),
        ("reason", reason.to_owned()),
    ];
    metrics::counter!("latentwire_transfers_total", &labels)
}

fn images(modality: &'static str, outcome: &'static str) -> metrics::Counter {
    metrics::counter!("latentwire_images_total", "modality" => modality, "outcome" => outcome)
}

fn sessions(destination: &str) -> metrics::Counter {
    metrics::counter!("latentwire_sessions_total", "destination" => destination.to_owned())
}

fn handshake_failures(destination: &str, reason: &str) -> metrics::Counter {
    let labels = [("destination", destination.to_owned()), ("reason", reason.to_owned())];
    metrics::counter!("latentwire_handshake_failures_total", &labels)
}

fn in_flight(destination: &str) -> metrics::Gauge {
    metrics::gauge!("latentwire_transfers_in_flight", "destination" => destination.to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "a gauge needs no 53rd bit")]
fn gauge(value: usize) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_one_outcome_and_it_is_listed() {
        let summary = |mode: v1::Mode, measured, below_floor| ImageSummary {
            mode: mode.into(),
            measured,
            below_floor,
            ..ImageSummary::default()
        };
        let (latent, exact) = (v1::Mode::Latent, v1::Mode::Exact);
        for (summary, asked, not_confirmed, expected) in [
            (summary(latent, true, false), Mode::Latent, false, "latent"),
            (summary(latent, true, true), Mode::Latent, false, "latent_below_floor"),
            (summary(latent, false, false), Mode::Latent, false, "latent_unmeasured"),
            (summary(exact, true, false), Mode::Exact, false, "exact_requested"),
            (summary(exact, true, true), Mode::Latent, false, "exact_below_floor"),
            (summary(exact, true, false), Mode::Latent, true, "exact_not_confirmed"),
            (summary(exact, true, false), Mode::Latent, false, "exact_unsuitable"),
        ] {
            assert_eq!(outcome(&summary, asked, not_confirmed), expected);
            assert!(OUTCOMES.contains(&expected));
        }
    }
}
