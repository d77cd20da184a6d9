//! The admin ports: metrics that Prometheus can read, health, readiness.

use latentwire_tests::{
    Link,
    admin::{self, Sample},
    binaries,
};

const GOOD: &str = "fundus/test/chase_2846f819cd.jpg";

/// Of every service.
const OF_BOTH: [&str; 3] =
    ["grpc_server_started_total", "grpc_server_handled_total", "grpc_server_handling_seconds_count"];
/// Of the sender alone.
const OF_SENDER: [&str; 6] = [
    "latentwire_sessions_total",
    "latentwire_transfers_total",
    "latentwire_original_bytes_total",
    "latentwire_coded_bytes_total",
    "latentwire_sealed_bytes_total",
    "latentwire_step_seconds_count",
];

#[test]
fn both_admin_ports_answer() {
    let link = Link::shared();
    for service in [&link.sender.service, &link.receiver.service] {
        let get = |path| admin::get(service.admin(), path).expect("the admin port answers");
        assert_eq!((get("/healthz").status, get("/readyz").status), (200, 200));
        assert_eq!(get("/").status, 404);
        assert_eq!(admin::request(service.admin(), "POST", "/metrics").expect("an answer").status, 405);
        let metrics = get("/metrics");
        assert_eq!(metrics.status, 200);
        assert!(
            metrics.headers.to_lowercase().contains("content-type: text/plain; version=0.0.4"),
            "{metrics:?}"
        );
    }
}

#[test]
fn metrics_parse_and_count_what_happened() {
    let link = Link::shared();
    let before = delivered(&metrics(&link, true));
    let object = link.send(&[binaries::sample(GOOD)], &[]).expect_success().object();
    // A session counts as handled when it ends; a list at once.
    let _listed = link.receiver.list().expect_success();
    let sender = metrics(&link, true);
    let receiver = metrics(&link, false);
    for name in OF_BOTH {
        assert!(has(&sender, name) && has(&receiver, name), "{name} is missing");
    }
    for name in OF_SENDER {
        assert!(has(&sender, name), "{name} is missing");
    }
    assert!(
        receiver.iter().any(|sample| sample.name.starts_with("latentwire_")),
        "the receiver counts nothing"
    );
    assert_eq!(delivered(&sender) - before, 1.0);
    assert!(
        sum(&sender, "latentwire_coded_bytes_total") >= object["coded_bytes"].as_f64().unwrap_or(f64::NAN)
    );
    for sample in sender.iter().chain(&receiver) {
        assert!(sample.value.is_finite() && sample.value >= 0.0, "{sample:?}");
        let id = object["transfer_id"].as_str().expect("an id");
        assert!(!sample.series.contains(id), "an id as a label is a series for each image: {sample:?}");
    }
}

fn metrics(link: &Link, of_sender: bool) -> Vec<Sample> {
    let service = if of_sender { &link.sender.service } else { &link.receiver.service };
    let text = admin::get(service.admin(), "/metrics").expect("the admin port answers").body;
    admin::parse_metrics(&text).unwrap_or_else(|line| panic!("not a sample: {line}"))
}

fn has(samples: &[Sample], name: &str) -> bool {
    samples.iter().any(|sample| sample.name == name)
}

fn sum(samples: &[Sample], name: &str) -> f64 {
    samples.iter().filter(|sample| sample.name == name).map(|sample| sample.value).sum()
}

/// Transfers that the sender counts as delivered.
fn delivered(samples: &[Sample]) -> f64 {
    let of = |sample: &&Sample| {
        sample.name == "latentwire_transfers_total" && sample.series.contains("status=\"delivered\"")
    };
    samples.iter().filter(of).map(|sample| sample.value).sum()
}
