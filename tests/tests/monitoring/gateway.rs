//! The gateway's part of the journey: objects that are delivered, and one of each kind that is not; and its page's list.

use std::collections::{BTreeMap, BTreeSet};

use latentwire_service::measures::{MEASURES, Measure, Owner};
use latentwire_tests::{
    Gateway, Instance, Link, Modality, binaries, gateway::AE_TITLE, wait_until, workplace,
};

use crate::{journey, page::Page, sources};

/// Begin of the names that are the gateway's alone.
pub const OWN: &str = "latentwire_dicom_";
/// A called AE title whose destination the sender does not know.
const NOWHERE: &str = "NOWHERE";
/// Bytes of the largest object, and of all objects together.
const ROOM: usize = 300_000;

/// A gateway before the link's sender, with room for one object at a time.
pub fn start(link: &Link) -> Gateway {
    let (room, route) = (ROOM.to_string(), format!("{NOWHERE}=nowhere"));
    let flags = ["--mode", "exact", "--destination", workplace::DESTINATION, "--route", &route];
    let limits = ["--max-object-bytes", &room, "--max-buffered-bytes", &room];
    Gateway::start(&link.workplace, link.sender.address, &[&flags[..], &limits].concat())
}

/// Two objects that arrive; one object of each kind that does not; somebody who calls a wrong number.
pub fn visit(gateway: &Gateway) {
    let sample = |path| Instance::read(&binaries::sample(path));
    let (chest, head) = (sample("dicom/chest_cr_8bit.dcm"), sample("dicom/phantom_ct_head_16bit.dcm"));
    let open = || Modality::open(gateway.dicom, &[&chest, &head]).expect("accepted");
    let (mut modality, mut other) = (open(), open());
    assert_eq!(modality.echo().status, 0);

    // While nearly all of an object is held, there is no room for another.
    let (most, rest) = chest.data_set.split_at(chest.data_set.len() - 1000);
    modality.request_store(&chest);
    modality.data_set(&chest, most, false);
    wait_until("the object is to be taken in", || {
        gateway.measure("latentwire_dicom_buffered_bytes", "") >= most.len() as f64
    });
    assert_eq!(other.store(&head).comment, "BUFFER_FULL: try again later");
    modality.data_set(&chest, rest, true);
    assert_eq!(modality.answer().status, 0x0000);
    assert_eq!(other.store(&head).status, 0x0000);
    other.release();

    let announced_as_another = Instance { sop_instance: chest.renamed(1).sop_instance, ..chest.clone() };
    assert_eq!(modality.store(&announced_as_another).status, 0xa900);
    let nameless = Instance { sop_instance: "none".to_owned(), ..chest.clone() };
    assert_eq!(modality.store(&nameless).status, 0x0117);
    let too_large = [chest.data_set.clone(), vec![0; ROOM / 2]].concat();
    assert_eq!(modality.store(&Instance { data_set: too_large, ..chest.clone() }).status, 0xc000);
    modality.release();

    let mut lost = Modality::call(gateway.dicom, "MODALITY", NOWHERE, &[&head]).expect("accepted");
    assert_eq!(lost.store(&head).comment, "DESTINATION_UNKNOWN: see the gateway's log");
    lost.release();
    Modality::call(gateway.dicom, "MODALITY", &format!("NOT-{AE_TITLE}"), &[]).expect_err("rejected");
}

/// The metrics that both services have and the gateway too.
pub fn shared(page: &Page) -> Vec<&'static Measure> {
    let of_both = MEASURES.iter().filter(|measure| measure.owner == Owner::Both);
    of_both.filter(|measure| page.family(measure.name).is_some()).collect()
}

/// The gateway's own metrics, each with its labels.
pub fn own(page: &Page) -> BTreeMap<&str, BTreeSet<String>> {
    let names = page.names().into_iter().filter(|name| name.starts_with(OWN));
    names.map(|name| (name, page.labels_of(name))).collect()
}

#[test]
fn it_says_what_the_services_say_and_its_own() {
    let page = &journey::said().gateway;
    let shared = shared(page);
    for measure in &shared {
        let family = page.family(measure.name).expect("it is on the page");
        assert_eq!((family.kind.as_str(), family.help.as_str()), (measure.kind.name(), measure.help));
        let listed: BTreeSet<_> = measure.labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(page.labels_of(measure.name), listed, "{}", measure.name);
    }
    for name in page.names() {
        let known = name.starts_with(OWN) || shared.iter().any(|measure| measure.name == name);
        assert!(known, "the gateway says {name}, which is neither both services' nor {OWN}…");
        assert!(page.family(name).is_some_and(|family| family.help.len() > 10), "{name} has no # HELP");
    }
    // What the alerts on every process live by.
    for name in ["latentwire_ready", "latentwire_clock_timestamp_seconds", "process_start_time_seconds"] {
        assert!(page.family(name).is_some(), "the gateway does not say {name}");
    }
}

#[test]
fn its_own_page_lists_its_metrics() {
    let text = sources::text("docs/GATEWAY.md");
    let mut listed = BTreeMap::new();
    for row in text.lines().filter(|line| line.starts_with(&format!("| `{OWN}"))) {
        let mut cells = row.trim_matches('|').split(" | ");
        let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let names = words(cells.next().unwrap_or_default());
        let labels: BTreeSet<_> = words(cells.next().unwrap_or_default()).into_iter().collect();
        listed.extend(names.into_iter().map(|name| (name, labels.clone())));
    }
    let said = own(&journey::said().gateway).into_iter().map(|(name, labels)| (name.to_owned(), labels));
    assert_eq!(listed, said.collect(), "docs/GATEWAY.md, and what the gateway says");
}

#[test]
fn what_was_stored_is_counted() {
    let page = &journey::said().gateway;
    let count = |name: &str, labels: &[(&str, &str)]| page.sum(&format!("{OWN}{name}"), labels);
    let here = ("destination", workplace::DESTINATION);
    assert_eq!(count("objects_total", &[here, ("status", "0000"), ("reason", "")]), 2.0);
    for (destination, status, reason) in [
        (workplace::DESTINATION, "0117", "INVALID_SOP_INSTANCE_UID"),
        (workplace::DESTINATION, "A700", "BUFFER_FULL"),
        (workplace::DESTINATION, "A900", "DATA_SET_MISMATCH"),
        (workplace::DESTINATION, "C000", "OBJECT_TOO_LARGE"),
        ("nowhere", "0110", "DESTINATION_UNKNOWN"),
    ] {
        let labels = [("destination", destination), ("status", status), ("reason", reason)];
        assert_eq!(count("objects_total", &labels), 1.0, "{reason}");
    }
    assert_eq!(count("objects_total", &[]), 7.0);
    assert_eq!(count("object_seconds_count", &[]), 7.0);
    assert!(count("object_bytes_total", &[]) > 500_000.0);
    assert!(count("last_delivery_timestamp_seconds", &[]) > 1.7e9);
    assert_eq!(count("echoes_total", &[]), 1.0);
    assert_eq!(count("associations_limit", &[]), 32.0);
    assert!(count("buffer_limit_bytes", &[]) >= ROOM as f64);
    assert_eq!(count("buffered_bytes", &[]), 0.0);
    let rejected = [("reason", "CALLED_AE_TITLE_NOT_RECOGNIZED")];
    assert_eq!(count("associations_rejected_total", &rejected), 1.0);
    assert_eq!(count("associations_rejected_total", &[]), 1.0);
    assert_eq!(page.sum("latentwire_ready", &[]), 1.0);
    assert_eq!(page.sum("latentwire_build_info", &[("service", "pacs-gateway")]), 1.0);
}
