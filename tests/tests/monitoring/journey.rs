//! A journey that makes the services and the gateway say everything they can, and what they said.

use std::sync::OnceLock;

use latentwire_service::measures::{MEASURES, Owner};
use latentwire_tests::{Gateway, Link, Sender, admin, binaries, outcome, pictures, process::Service};

use crate::{gateway, page::Page};

/// A link with a gateway before it. The gateway is dropped, and so stopped, first.
pub struct Site {
    pub gateway: Gateway,
    pub link: Link,
}

/// What each said afterwards.
pub struct Said {
    pub sender: Page,
    pub receiver: Page,
    pub gateway: Page,
}

/// What they say after the journey, which is made once.
pub fn said() -> &'static Said {
    static SAID: OnceLock<Said> = OnceLock::new();
    SAID.get_or_init(|| {
        let site = open();
        travel_beside_a_stranger(&site);
        let Site { gateway, link } = &site;
        let services = [&link.sender.service, &link.receiver.service, &gateway.service];
        let [sender, receiver, gateway] = services.map(page);
        Said { sender, receiver, gateway }
    })
}

/// Services whose every gauge has something to say.
pub fn open() -> Site {
    let link = Link::open_with(&[], &["--max-store-bytes", "1000000000"]);
    let _stranger = link.workplace.generate_key("sender", "stranger.key");
    let public_key = link.workplace.generate_key("sender", "leaving.key");
    let store = link.workplace.path("trust.toml");
    let arguments =
        ["trust".as_ref(), "add".as_ref(), store.as_os_str(), "--name".as_ref(), "leaving".as_ref()];
    let key =
        ["--key".as_ref(), public_key.as_os_str(), "--not-after".as_ref(), "2100-01-01T00:00:00Z".as_ref()];
    let _added = latentwire_tests::Run::latentwire(arguments.into_iter().chain(key)).expect_success();
    Site { gateway: gateway::start(&link), link }
}

/// A journey, and a stranger who is not let in.
fn travel_beside_a_stranger(site: &Site) {
    travel(site);
    let link = &site.link;
    let stranger = Sender::start_as(&link.workplace, "stranger.key", link.receiver.transfer, &[]);
    let brain = binaries::sample("brain_mri/test/sartaj_0b938fbd0a.jpg");
    assert_eq!(stranger.send(&[&brain], &[]).object()["status"], "rejected");
}

/// Images of every modality, in every form; a refusal; a list and a look at what arrived; a visit at the gateway.
pub fn travel(site: &Site) {
    let link = &site.link;
    let brain = binaries::sample("brain_mri/test/sartaj_0b938fbd0a.jpg");
    let samples = [
        binaries::sample("fundus/test/chase_2846f819cd.jpg"),
        binaries::sample("chest_xray/test/hannover_1890031531.jpg"),
        brain.clone(),
    ];
    let sent = link.send(&samples, &["--below-floor", "send-marked"]).expect_success().objects();
    for object in &sent {
        outcome::check_delivered(object);
    }
    let _exact = link.send(&[&brain], &["--mode", "exact"]).expect_success();
    let _fallback = link.send(&[&brain], &["--min-ssim", "0.9999"]).expect_success();
    let broken = link.workplace.write("broken.png", &pictures::flat_png(64, 64, 7)[..40]);
    assert_eq!(link.send(&[&broken], &[]).object()["status"], "rejected");
    let id = sent[0]["transfer_id"].as_str().expect("an id");
    let _got = link.get(id, &link.workplace.path("received")).expect_success();
    let _listed = link.receiver.list().expect_success();
    gateway::visit(&site.gateway);
}

/// What a service says now.
fn page(service: &Service) -> Page {
    Page::read(&admin::get(service.admin(), "/metrics").expect("the admin port answers").body)
}

#[test]
fn the_services_say_what_the_table_lists_and_nothing_else() {
    let said = said();
    for (page, owner) in [(&said.sender, Owner::Sender), (&said.receiver, Owner::Receiver)] {
        let expected: Vec<_> =
            MEASURES.iter().filter(|measure| [Owner::Both, owner].contains(&measure.owner)).collect();
        for measure in &expected {
            let name = measure.name;
            let family = page
                .family(name)
                .unwrap_or_else(|| panic!("{owner:?} does not say {name}: {:?}", page.names()));
            assert_eq!(family.kind, measure.kind.name(), "{name} of {owner:?}");
            assert_eq!(family.help, measure.help, "{name} of {owner:?}");
            for series in &family.series {
                let labels: Vec<_> = series.labels.keys().filter(|label| *label != "le").collect();
                let mut listed = measure.labels.to_vec();
                listed.sort_unstable();
                assert_eq!(labels, listed, "{name} of {owner:?}");
            }
        }
        for name in page.names() {
            assert!(
                expected.iter().any(|measure| measure.name == name),
                "{owner:?} says {name}, which stands not in common/service/src/measures.rs"
            );
        }
    }
}

#[test]
fn what_happened_is_counted() {
    let Said { sender, receiver, .. } = said();
    let count = |page: &Page, name: &str, labels: &[(&str, &str)]| page.sum(name, labels);
    // Five by the command line, two through the gateway.
    assert_eq!(count(sender, "latentwire_transfers_total", &[("status", "delivered")]), 7.0);
    assert_eq!(count(sender, "latentwire_transfers_total", &[("status", "rejected")]), 1.0);
    assert_eq!(count(sender, "latentwire_transfers_in_flight", &[]), 0.0);
    assert_eq!(count(sender, "latentwire_open_sessions", &[]), 1.0);
    assert_eq!(count(sender, "latentwire_images_total", &[("outcome", "exact_requested")]), 3.0);
    assert_eq!(
        count(sender, "latentwire_images_total", &[("outcome", "exact_below_floor"), ("modality", "brain")]),
        1.0
    );
    assert_eq!(count(sender, "latentwire_images_total", &[]), 7.0);
    assert_eq!(count(sender, "latentwire_ssim_count", &[]), 3.0);
    assert_eq!(count(receiver, "latentwire_transfers_total", &[("outcome", "stored")]), 7.0);
    assert_eq!(count(receiver, "latentwire_verdicts_total", &[]), 7.0);
    assert_eq!(count(receiver, "latentwire_verdicts_total", &[("verdict", "exact")]), 4.0);
    assert_eq!(count(receiver, "latentwire_sessions_total", &[]), 1.0);
    assert!(count(receiver, "latentwire_handshake_failures_total", &[("reason", "PEER_NOT_ALLOWED")]) >= 1.0);
    assert!(count(receiver, "latentwire_stored_bytes", &[]) > 10_000.0);
    assert_eq!(count(receiver, "latentwire_store_limit_bytes", &[]), 1e9);
    assert_eq!(count(receiver, "latentwire_trust_peers", &[]), 2.0);
    assert_eq!(count(receiver, "latentwire_peer_valid_keys", &[("peer", "leaving")]), 1.0);
    let ends = [("peer", "leaving")];
    assert_eq!(count(receiver, "latentwire_peer_key_expiry_timestamp_seconds", &ends), 4_102_444_800.0);
    for page in [sender, receiver] {
        assert_eq!(count(page, "latentwire_ready", &[]), 1.0);
        assert_eq!(count(page, "latentwire_models_loaded", &[]), 6.0);
        assert_eq!(count(page, "latentwire_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
        assert!(count(page, "process_resident_memory_bytes", &[]) > 1e6);
    }
}
