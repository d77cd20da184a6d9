//! The gateway's metrics: what stands at 0 from the start, what is counted, and what is looked up at every scrape.

use std::{sync::Weak, time::Duration};

use latentwire_service::{
    admin::{MetricsError, metrics_handle},
    measures::{Owner, access_started, describe, unix_now},
    status::reason,
};
use tonic::Code;

use crate::{association::Ending, negotiation::Rejection, outcome::Failure, server::Gateway};

const OBJECTS: &str = "latentwire_dicom_objects_total";
const SECONDS: &str = "latentwire_dicom_object_seconds";
/// Failures that a link meets sooner or later, and that alerts must see from the first on.
const EXPECTED: [Failure; 4] = [
    Failure::SenderUnavailable,
    Failure::TimedOut,
    Failure::BufferFull,
    Failure::Sender { code: Code::Unavailable, reason: reason::PEER_UNAVAILABLE },
];

/// Sets the recorder up. A counter that is there from the start lets an alert see its first step.
///
/// # Errors
/// [`MetricsError`] if the Prometheus recorder cannot be installed.
pub fn started<'a>(destinations: impl Iterator<Item = &'a str>) -> Result<(), MetricsError> {
    metrics_handle()?;
    describe(Owner::Both);
    describe_counters();
    access_started();
    let version = env!("CARGO_PKG_VERSION");
    metrics::gauge!("latentwire_build_info", "service" => "pacs-gateway", "version" => version).set(1.0);
    metrics::counter!("latentwire_dicom_echoes_total").increment(0);
    metrics::counter!("latentwire_dicom_object_bytes_total").increment(0);
    metrics::counter!("latentwire_dicom_connections_dropped_total").increment(0);
    for ending in Ending::ALL {
        ended_counter(ending).increment(0);
        failed_counter(ending).increment(0);
    }
    for rejection in Rejection::ALL {
        rejected_counter(rejection).increment(0);
    }
    for destination in destinations {
        objects(destination, None).increment(0);
        for failure in EXPECTED {
            objects(destination, Some(failure)).increment(0);
        }
    }
    Ok(())
}

fn describe_counters() {
    metrics::describe_counter!("latentwire_dicom_echoes_total", "C-ECHO requests that were answered.");
    metrics::describe_counter!(
        OBJECTS,
        "Stored objects by the DIMSE status of their answer; 0000 is delivered."
    );
    metrics::describe_counter!(
        "latentwire_dicom_object_bytes_total",
        "Bytes of the objects that were delivered."
    );
    metrics::describe_histogram!(SECONDS, "Time from the request to store an object to its answer.");
    metrics::describe_counter!(
        "latentwire_dicom_associations_total",
        "Associations that ended, by how they did."
    );
    metrics::describe_counter!(
        "latentwire_dicom_associations_rejected_total",
        "Associations that were rejected."
    );
    metrics::describe_counter!(
        "latentwire_dicom_connections_failed_total",
        "Connections that ended before an association was asked for, by how they did."
    );
    metrics::describe_counter!(
        "latentwire_dicom_connections_dropped_total",
        "Connections that were closed unheard, since too many were open."
    );
    metrics::describe_gauge!(
        "latentwire_dicom_last_delivery_timestamp_seconds",
        "When the last object was delivered, Unix time; absent before the first."
    );
}

/// Looks at the gateway, which it does not hold.
pub fn look(gateway: Weak<Gateway>) -> impl Fn() + Send + Sync {
    move || {
        metrics::describe_gauge!("latentwire_dicom_associations_open", "Associations that are open now.");
        metrics::describe_gauge!(
            "latentwire_dicom_associations_limit",
            "Most associations at once (--max-associations)."
        );
        metrics::describe_gauge!("latentwire_dicom_buffered_bytes", "Memory that objects take now.");
        metrics::describe_gauge!(
            "latentwire_dicom_buffer_limit_bytes",
            "Most memory for objects (--max-buffered-bytes)."
        );
        let Some(load) = gateway.upgrade().map(|gateway| gateway.load()) else { return };
        metrics::gauge!("latentwire_dicom_associations_open").set(gauge(load.associations));
        metrics::gauge!("latentwire_dicom_associations_limit").set(gauge(load.associations_limit));
        metrics::gauge!("latentwire_dicom_buffered_bytes").set(gauge(load.buffered_bytes));
        metrics::gauge!("latentwire_dicom_buffer_limit_bytes").set(gauge(load.buffer_limit_bytes));
    }
}

/// Counts an answered C-ECHO.
pub fn echoed() {
    metrics::counter!("latentwire_dicom_echoes_total").increment(1);
}

/// Counts an object that was answered, or given up.
pub fn stored(destination: &str, outcome: Result<u64, Failure>, took: Duration) {
    objects(destination, outcome.err()).increment(1);
    metrics::histogram!(SECONDS).record(took.as_secs_f64());
    if let Ok(bytes) = outcome {
        metrics::counter!("latentwire_dicom_object_bytes_total").increment(bytes);
        metrics::gauge!("latentwire_dicom_last_delivery_timestamp_seconds").set(unix_now());
    }
}

/// Counts an association that ended.
pub fn ended(ending: Ending) {
    ended_counter(ending).increment(1);
}

/// Counts a connection that ended before an association was asked for.
pub fn connection_failed(ending: Ending) {
    failed_counter(ending).increment(1);
}

/// Counts an association that was rejected.
pub fn rejected(rejection: Rejection) {
    rejected_counter(rejection).increment(1);
}

/// Counts a connection that was closed unheard.
pub fn dropped() {
    metrics::counter!("latentwire_dicom_connections_dropped_total").increment(1);
}

fn objects(destination: &str, failure: Option<Failure>) -> metrics::Counter {
    let status = failure.map_or(crate::outcome::SUCCESS, Failure::status);
    let labels = [
        ("destination", destination.to_owned()),
        ("status", format!("{status:04X}")),
        ("reason", failure.map_or("", Failure::reason).to_owned()),
    ];
    metrics::counter!(OBJECTS, &labels)
}

fn ended_counter(ending: Ending) -> metrics::Counter {
    metrics::counter!("latentwire_dicom_associations_total", "ending" => ending.word())
}

fn failed_counter(ending: Ending) -> metrics::Counter {
    metrics::counter!("latentwire_dicom_connections_failed_total", "ending" => ending.word())
}

fn rejected_counter(rejection: Rejection) -> metrics::Counter {
    metrics::counter!("latentwire_dicom_associations_rejected_total", "reason" => rejection.reason())
}

#[expect(clippy::cast_precision_loss, reason = "a gauge needs no 53rd bit")]
fn gauge(value: usize) -> f64 {
    value as f64
}
