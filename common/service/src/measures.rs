//! Every metric that a service has: its name, kind, labels and meaning, in one table.
//!
//! The table gives `/metrics` its `# HELP` lines and docs/OPERATIONS.md its list; a test holds it against what the running
//! services really say. Values that are looked up when somebody scrapes (see [`crate::admin::AdminServer::looking_up`]) and
//! those that are counted as things happen share it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use latentwire_codec::{Codec, SelfCheck};
use latentwire_sealing::{TrustEntry, TrustStore};

use crate::admin::{MetricsError, metrics_handle};
use crate::status::reason;

/// What a metric does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// The word in a `# TYPE` line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Which service has a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Each of them.
    Both,
    /// `receiver-svc` alone.
    Receiver,
    /// `sender-svc` alone.
    Sender,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// What it does over time.
    pub kind: Kind,
    /// Who has it.
    pub owner: Owner,
    /// Its labels; none ever names a patient, a file or an image.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
}

const fn of(
    owner: Owner,
    kind: Kind,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Measure {
    Measure { name, kind, owner, labels, help }
}

/// Every metric, by owner and name. Where both services have a name with different labels, it stands twice.
#[rustfmt::skip]
pub const MEASURES: &[Measure] = {
    use Kind::{Counter, Gauge, Histogram};
    use Owner::{Both, Receiver, Sender};
    &[
        of(Both, Counter, "grpc_server_handled_total", &["grpc_service", "grpc_method", "grpc_code"], "Calls that ended, by gRPC status code."),
        of(Both, Histogram, "grpc_server_handling_seconds", &["grpc_service", "grpc_method"], "Time from the start of a call to its end; a session or a watch counts when it ends."),
        of(Both, Counter, "grpc_server_started_total", &["grpc_service", "grpc_method"], "Calls that began."),
        of(Both, Counter, "latentwire_audit_failures_total", &[], "Writes to the audit log that failed; what they were about was not done."),
        of(Both, Gauge, "latentwire_audit_head_sequence", &[], "Number of the last record of the audit log; it never goes back. Absent where none is kept."),
        of(Both, Counter, "latentwire_audit_records_total", &["kind"], "Records written to the audit log."),
        of(Both, Gauge, "latentwire_audit_writable", &[], "1 while the audit log can be written, else 0: then nothing is transferred. Absent where none is kept."),
        of(Both, Gauge, "latentwire_audited", &[], "1 if an audit log is kept, 0 if the operator went without."),
        of(Both, Gauge, "latentwire_build_info", &["service", "version"], "1; its labels say which version runs."),
        of(Both, Gauge, "latentwire_clock_timestamp_seconds", &[], "The service's own clock at the scrape, Unix time."),
        of(Both, Counter, "latentwire_coded_bytes_total", &[], "Bytes of the coded images that were delivered."),
        of(Both, Gauge, "latentwire_inference_busy", &[], "Images that are being coded or decoded now."),
        of(Both, Gauge, "latentwire_inference_slots", &[], "Images that may be coded or decoded at once (--pool)."),
        of(Both, Gauge, "latentwire_model_info", &["model", "decoder_digest", "certified"], "1 for each loaded model; both ends of a link must show the same decoder digest."),
        of(Both, Gauge, "latentwire_models_loaded", &[], "Loaded models; 0 until they are."),
        of(Both, Gauge, "latentwire_onnxruntime_info", &["version"], "1; its label says which ONNX Runtime runs the models."),
        of(Both, Gauge, "latentwire_ready", &[], "1 while the service serves, else 0; the same truth as /readyz."),
        of(Both, Counter, "latentwire_request_errors_total", &["reason"], "Calls, and images of a SendStudy call that never became a transfer, that were refused or failed."),
        of(Both, Gauge, "latentwire_requests_in_flight", &["grpc_service", "grpc_method"], "Calls that are at work now."),
        of(Both, Gauge, "latentwire_requests_limit", &[], "Calls at work at once that are taken on (--max-concurrent); sessions and watches are counted apart, to the same number."),
        of(Both, Counter, "latentwire_sealed_bytes_total", &[], "Bytes on the wire of the images that were delivered."),
        of(Both, Histogram, "latentwire_step_seconds", &["step"], "Time of one step of an image's journey: prepare, encode, code, seal, transfer at the sender; open, decode at the receiver."),
        of(Both, Gauge, "latentwire_callers_last_reload_successful", &[], "1 if the callers' file on disk is the one in force; 0 if it could not be read the last time, so that what was changed in it does not hold; 1 without --callers."),
        of(Both, Gauge, "latentwire_tls_certificate_expiry_timestamp_seconds", &[], "When the certificate of the service's own ports expires, Unix time; 0 without --tls-certificate."),
        of(Both, Counter, "latentwire_tls_handshake_failures_total", &["cause"], "TLS connections that came to nothing: no_certificate, certificate (of another CA, expired, or not for clients), not_tls, version, refused_by_client, timeout, lost, other."),
        of(Both, Counter, "latentwire_tls_handshakes_total", &["group"], "TLS connections that were set up, by key exchange; X25519MLKEM768 is the hybrid one."),
        of(Both, Gauge, "latentwire_tls_last_reload_successful", &[], "1 if certificate, key and client CA on disk are those in force; 0 if they could not be read the last time; 1 without --tls-certificate."),
        of(Both, Counter, "process_cpu_seconds_total", &[], "CPU time of the process, whole seconds."),
        of(Both, Gauge, "process_max_fds", &[], "File descriptors that the process may open."),
        of(Both, Gauge, "process_open_fds", &[], "File descriptors that are open."),
        of(Both, Gauge, "process_resident_memory_bytes", &[], "Memory in use."),
        of(Both, Gauge, "process_start_time_seconds", &[], "When the process started, Unix time."),
        of(Both, Gauge, "process_threads", &[], "Threads of the process."),
        of(Both, Gauge, "process_virtual_memory_bytes", &[], "Address space in use."),
        of(Both, Gauge, "process_virtual_memory_max_bytes", &[], "Address space that the process may use; 2^64 - 1 stands for no limit."),

        of(Sender, Gauge, "latentwire_files_in_memory", &[], "Image files that are held in memory: coming in, being coded, or on their way."),
        of(Sender, Gauge, "latentwire_files_limit", &[], "Image files that may be held in memory at once; beyond it, callers' streams rest."),
        of(Sender, Counter, "latentwire_handshake_failures_total", &["destination", "reason"], "Sessions that could not be set up; PEER_UNAVAILABLE: nobody answers there."),
        of(Sender, Counter, "latentwire_images_total", &["modality", "outcome"], "Delivered images by what they show and how they travelled: latent, latent_below_floor (sent marked), latent_unmeasured (no decoder here), exact_requested, exact_below_floor (a latent was asked for and its figures were too low), exact_not_confirmed (the receiver decoded other pixels), exact_unsuitable (no latent could be made, or it was not smaller)."),
        of(Sender, Gauge, "latentwire_last_delivery_timestamp_seconds", &["destination"], "When the last receipt came, Unix time; absent before the first."),
        of(Sender, Gauge, "latentwire_open_sessions", &["destination"], "1 while a session to the destination is open, else 0."),
        of(Sender, Counter, "latentwire_original_bytes_total", &[], "Bytes of the files whose images were delivered."),
        of(Sender, Counter, "latentwire_sessions_total", &["destination"], "Sessions that were set up."),
        of(Sender, Histogram, "latentwire_ssim", &["modality"], "Structural similarity, worst frame, of the images that were delivered as measured latents."),
        of(Sender, Counter, "latentwire_transfer_retries_total", &[], "Transfers that were tried again over a fresh session."),
        of(Sender, Counter, "latentwire_transfers_total", &["destination", "status", "reason"], "Transfers that ended: status delivered (reason empty) or rejected."),
        of(Sender, Gauge, "latentwire_transfers_in_flight", &["destination"], "Transfers that are under way now."),

        of(Receiver, Gauge, "latentwire_buffered_bytes", &[], "Padded bytes of the transfers that are coming in now, as announced."),
        of(Receiver, Gauge, "latentwire_buffer_limit_bytes", &[], "Most padded bytes that may be coming in at once; beyond it, transfers are refused with OVERLOADED."),
        of(Receiver, Counter, "latentwire_decoder_changes_total", &[], "Images fetched whose pixels came out otherwise than when they were stored."),
        of(Receiver, Counter, "latentwire_handshake_failures_total", &["reason"], "Sessions that ended before they were set up: somebody knocked and was not let in."),
        of(Receiver, Gauge, "latentwire_last_receipt_timestamp_seconds", &["peer"], "When the last image of this sender was stored, Unix time; absent before the first since the start."),
        of(Receiver, Gauge, "latentwire_open_sessions", &[], "Sessions that are open now."),
        of(Receiver, Gauge, "latentwire_peer_key_expiry_timestamp_seconds", &["peer"], "The earliest not_after among the peer's keys that are valid now, Unix time; absent where none ends."),
        of(Receiver, Gauge, "latentwire_peer_last_key_expiry_timestamp_seconds", &["peer"], "When the last of the peer's keys that are not revoked ends, Unix time; absent where one never ends."),
        of(Receiver, Gauge, "latentwire_peer_valid_keys", &["peer"], "Keys of the peer that are valid now."),
        of(Receiver, Counter, "latentwire_session_errors_total", &["reason"], "Sessions that broke after they were set up."),
        of(Receiver, Counter, "latentwire_sessions_total", &[], "Sessions that were set up."),
        of(Receiver, Gauge, "latentwire_store_free_bytes", &[], "Free bytes of the disk of the data folder."),
        of(Receiver, Gauge, "latentwire_store_limit_bytes", &[], "Most bytes that are stored (--max-store-bytes); absent where there is no limit."),
        of(Receiver, Gauge, "latentwire_store_min_free_bytes", &[], "Bytes that stay free on the disk (--min-free-bytes)."),
        of(Receiver, Gauge, "latentwire_stored_bytes", &[], "Bytes of the images that are stored."),
        of(Receiver, Counter, "latentwire_transfers_refused_total", &["reason"], "Transfers that the receiver refused or could not store."),
        of(Receiver, Counter, "latentwire_transfers_total", &["outcome", "mode"], "Transfers that came in whole: outcome stored, or need_exact (the exact form was asked for)."),
        of(Receiver, Gauge, "latentwire_trust_last_reload_successful", &[], "1 if the trust store on disk is the one in force; 0 if it could not be read the last time, so that what was changed in it does not hold."),
        of(Receiver, Gauge, "latentwire_trust_last_reload_timestamp_seconds", &[], "When the trust store in force was read, Unix time."),
        of(Receiver, Gauge, "latentwire_trust_peers", &[], "Names in the trust store in force."),
        of(Receiver, Counter, "latentwire_verdicts_total", &["verdict"], "Stored images by what decoding found: exact, equal (the pixels that the sender measured), differs, unmeasured."),
    ]
};

/// Reasons that a handshake fails with most often; they stand at 0 from the start, so that the first failure is a rise.
pub const HANDSHAKE_REASONS: [&str; 6] = [
    reason::DEADLINE,
    reason::HANDSHAKE_FAILED,
    reason::OVERLOADED,
    reason::PEER_NOT_ALLOWED,
    reason::PEER_UNAVAILABLE,
    reason::VERSION_UNSUPPORTED,
];

/// Gives the current recorder the `# HELP` of every metric of this owner.
pub fn describe(owner: Owner) {
    for measure in MEASURES.iter().filter(|measure| measure.owner == owner) {
        match measure.kind {
            Kind::Counter => metrics::describe_counter!(measure.name, measure.help),
            Kind::Gauge => metrics::describe_gauge!(measure.name, measure.help),
            Kind::Histogram => metrics::describe_histogram!(measure.name, measure.help),
        }
    }
}

/// Enters what is known of a service when it starts; counters of errors stand at 0 from here on. Before this call nothing
/// is counted, since there is no recorder.
///
/// # Errors
/// [`MetricsError`] if the Prometheus recorder cannot be installed.
pub fn started(owner: Owner, max_concurrent: u32, pool: u16) -> Result<(), MetricsError> {
    metrics_handle()?;
    describe(Owner::Both);
    describe(owner);
    let service = if owner == Owner::Sender { "sender-svc" } else { "receiver-svc" };
    let version = env!("CARGO_PKG_VERSION");
    metrics::gauge!("latentwire_build_info", "service" => service, "version" => version).set(1.0);
    metrics::gauge!("latentwire_requests_limit").set(f64::from(max_concurrent));
    metrics::gauge!("latentwire_inference_slots").set(f64::from(pool));
    metrics::gauge!("latentwire_models_loaded").set(0.0);
    access_started();
    for reason in reason::ALL {
        metrics::counter!("latentwire_request_errors_total", "reason" => reason).increment(0);
    }
    Ok(())
}

/// Enters what TLS and callers say before anything has happened: nothing is unreadable, nothing expires, nobody came.
pub fn access_started() {
    metrics::gauge!("latentwire_callers_last_reload_successful").set(1.0);
    metrics::gauge!("latentwire_tls_last_reload_successful").set(1.0);
    metrics::gauge!("latentwire_tls_certificate_expiry_timestamp_seconds").set(0.0);
    metrics::counter!("latentwire_tls_handshakes_total", "group" => "X25519MLKEM768").increment(0);
    for cause in crate::tls::HANDSHAKE_FAILURES {
        metrics::counter!("latentwire_tls_handshake_failures_total", "cause" => cause).increment(0);
    }
}

/// Enters the models and the runtime once they are loaded, and warns of those whose decoder differs on this machine.
pub fn models_loaded(codec: &Codec) {
    let models = codec.models();
    for model in models.iter().filter(|model| model.check == SelfCheck::Differs) {
        tracing::warn!(
            model = model.id,
            "this machine differs: the decoder gives other bits than it is certified to give, so it is not certified \
             here; compare processor and ONNX Runtime with the list in docs/MODELS.md"
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "a gauge needs no 53rd bit")]
    metrics::gauge!("latentwire_models_loaded").set(models.len() as f64);
    metrics::gauge!("latentwire_onnxruntime_info", "version" => codec.runtime_version().to_owned()).set(1.0);
    for model in models {
        let labels = [
            ("model", model.id.clone()),
            ("decoder_digest", model.digest.to_string()),
            ("certified", model.certified.to_string()),
        ];
        metrics::gauge!("latentwire_model_info", &labels).set(1.0);
    }
}

/// Enters the pinned peers, as they are at this moment; for [`crate::admin::AdminServer::looking_up`].
#[expect(clippy::cast_precision_loss, reason = "moments and counts of this size are exact in 53 bits")]
pub fn peers(store: &TrustStore, now: i64) {
    let mut by_name: BTreeMap<&str, Vec<&TrustEntry>> = BTreeMap::new();
    for entry in store.entries() {
        by_name.entry(&entry.name).or_default().push(entry);
    }
    metrics::gauge!("latentwire_trust_peers").set(by_name.len() as f64);
    for (name, entries) in by_name {
        let revoked = |entry: &TrustEntry| entry.revoked_at.is_some_and(|at| at.unix_timestamp() <= now);
        let begun = |entry: &TrustEntry| entry.not_before.is_none_or(|at| at.unix_timestamp() <= now);
        let end = |entry: &TrustEntry| entry.not_after.map_or(i64::MAX, |at| at.unix_timestamp());
        let live: Vec<_> = entries.into_iter().filter(|entry| !revoked(entry)).collect();
        let valid: Vec<_> = live.iter().filter(|entry| begun(entry) && now < end(entry)).collect();
        let peer = || [("peer", name.to_owned())];
        metrics::gauge!("latentwire_peer_valid_keys", &peer()).set(valid.len() as f64);
        let earliest = valid.iter().map(|entry| end(entry)).min();
        if let Some(end) = earliest.filter(|end| *end != i64::MAX) {
            metrics::gauge!("latentwire_peer_key_expiry_timestamp_seconds", &peer()).set(end as f64);
        }
        let last = live.iter().map(|entry| end(entry)).max();
        if let Some(end) = last.filter(|end| *end != i64::MAX) {
            metrics::gauge!("latentwire_peer_last_key_expiry_timestamp_seconds", &peer()).set(end as f64);
        }
    }
}

/// Counts a refusal or failure; a reason that is none of ours counts as OTHER, so that nobody can invent labels.
pub fn count_request_error(why: &str) {
    let known = reason::ALL.into_iter().find(|known| *known == why).unwrap_or("OTHER");
    metrics::counter!("latentwire_request_errors_total", "reason" => known).increment(1);
}

/// Now as Unix time in whole seconds, as the trust store counts.
#[must_use]
pub fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Now as Unix time in seconds.
#[must_use]
pub fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use latentwire_sealing::{Role, SecretKey};

    use super::*;

    #[test]
    fn names_and_labels_keep_to_the_habit_of_prometheus() {
        let mut seen = BTreeSet::new();
        for measure in MEASURES {
            let name = measure.name;
            assert!(seen.insert((name, measure.owner as u8)), "{name} stands twice");
            assert_eq!(name.ends_with("_total"), measure.kind == Kind::Counter, "{name}");
            for word in [name].iter().chain(measure.labels) {
                let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
                assert!(word.bytes().all(allowed), "{word} of {name}");
            }
            assert!(measure.help.ends_with('.') && !measure.help.contains('|'), "{name}: {}", measure.help);
        }
    }

    /// Two keys of one peer: the first ends at 2,000, the second never does, or is revoked at 500.
    fn store(second_revoked: bool) -> TrustStore {
        let second = if second_revoked { "revoked_at = 1970-01-01T00:08:20Z" } else { "" };
        let key = || {
            let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
            SecretKey::generate(Role::Sender, &mut rng).public_key().to_string()
        };
        let entry = |more: &str| {
            format!("[[peer]]\nname = \"clinic\"\npublic_key = \"{}\"\nrole = \"sender\"\n{more}\n", key())
        };
        let text = entry("not_after = 1970-01-01T00:33:20Z") + &entry(second);
        TrustStore::parse(&text).expect("a trust store")
    }

    fn page(store: &TrustStore, now: i64) -> String {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || peers(store, now));
        recorder.handle().render()
    }

    #[test]
    fn keys_end_when_their_entries_say_so() {
        let earliest = "latentwire_peer_key_expiry_timestamp_seconds{peer=\"clinic\"} 2000";
        let last = "latentwire_peer_last_key_expiry_timestamp_seconds";
        let before = page(&store(false), 1_000);
        assert!(before.contains("valid_keys{peer=\"clinic\"} 2") && before.contains(earliest), "{before}");
        assert!(!before.contains(last), "one of the keys never ends: {before}");
        let after = page(&store(false), 2_000);
        assert!(after.contains("valid_keys{peer=\"clinic\"} 1") && !after.contains(earliest), "{after}");

        let revoked = page(&store(true), 1_000);
        assert!(revoked.contains("valid_keys{peer=\"clinic\"} 1"), "{revoked}");
        assert!(revoked.contains(&format!("{last}{{peer=\"clinic\"}} 2000")), "{revoked}");
        let locked_out = page(&store(true), 3_000);
        assert!(locked_out.contains("valid_keys{peer=\"clinic\"} 0"), "{locked_out}");
        assert!(locked_out.contains(&format!("{last}{{peer=\"clinic\"}} 2000")), "{locked_out}");
    }

    #[test]
    fn a_reason_that_is_none_of_ours_makes_no_label() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            count_request_error("OVERLOADED");
            count_request_error("SURNAME^GIVEN");
        });
        let page = recorder.handle().render();
        assert!(page.contains("reason=\"OVERLOADED\"} 1") && page.contains("reason=\"OTHER\"} 1"), "{page}");
        assert!(!page.contains("SURNAME"), "{page}");
    }
}
