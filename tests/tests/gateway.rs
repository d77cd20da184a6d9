//! What is stored at the gateway arrives at the receiver, and only then the modality hears of success.

use std::{collections::BTreeSet, fs, path::Path};

use latentwire_proto::v1::{Image, Mode};
use latentwire_tests::{
    Gateway, Instance, Link, Modality, binaries, client,
    modality::{Answer, JPEG_BASELINE, RLE, jpeg_size, rle_frame},
    process,
};

const CHEST: &str = "dicom/chest_cr_8bit.dcm";
const HEAD: &str = "dicom/phantom_ct_head_16bit.dcm";
/// MPEG-4 AVC/H.264 High Profile, Level 4.1.
const MPEG4: &str = "1.2.840.10008.1.2.4.102";
const JPEG: &str = "chest_xray/test/hannover_1890031531.jpg";

fn sample(path: &str) -> Instance {
    Instance::read(&binaries::sample(path))
}

/// The chest picture as RLE Lossless, and another one as JPEG Baseline.
fn compressed() -> [Instance; 2] {
    let chest = sample(CHEST);
    let rle = chest.encapsulated(RLE, &rle_frame(chest.pixels())).renamed(1);
    let jpeg = fs::read(binaries::sample(JPEG)).expect("the sample");
    let (rows, columns) = jpeg_size(&jpeg);
    let jpeg = chest.with_size(rows, columns).encapsulated(JPEG_BASELINE, &jpeg).renamed(2);
    [rle, jpeg]
}

fn success(answers: u16) -> Answer {
    Answer { command: 0x8001, answers, status: 0x0000, comment: String::new() }
}

fn newest(link: &Link) -> Image {
    client::list_images(link.receiver.images).into_iter().next().expect("an image has arrived")
}

/// The image as the receiver gives it back.
fn fetched(link: &Link, image: &Image, into: &Path) -> Instance {
    let _got = link.get(&hex::encode(&image.transfer_id), into).expect_success();
    Instance::read(into)
}

#[test]
fn the_program_says_what_it_is() {
    let said = |flag: &str| {
        let output = process::command("pacs-gateway").arg(flag).output().expect("the program can be started");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(said("--version").trim(), concat!("pacs-gateway ", env!("CARGO_PKG_VERSION")));
    assert!(said("--help").contains("--ae-title"));
}

#[test]
fn an_echo_is_answered_even_without_a_sender() {
    let workplace = latentwire_tests::Workplace::new();
    let gateway = Gateway::start(&workplace, process::free_address(), &[]);
    let mut modality = Modality::open(gateway.dicom, &[]).expect("accepted");
    for answers in 1..=2 {
        let answer = modality.echo();
        assert_eq!((answer.command, answer.answers, answer.status), (0x8030, answers, 0));
    }
    let answer = modality.find();
    assert_eq!((answer.command, answer.answers, answer.status), (0x8020, 3, 0x0211));
    modality.release();
    assert_eq!(gateway.measure("latentwire_dicom_echoes_total", ""), 2.0);
}

#[test]
fn an_exact_object_arrives_byte_for_byte_in_its_own_transfer_syntax() {
    let link = Link::open();
    let gateway = Gateway::start(&link.workplace, link.sender.address, &["--mode", "exact"]);
    let [rle, jpeg] = compressed();
    let instances = [sample(CHEST), sample(HEAD), rle, jpeg];
    let mut modality =
        Modality::open(gateway.dicom, &instances.iter().collect::<Vec<_>>()).expect("accepted");
    let target = link.workplace.path("received.dcm");
    let mut studies = Vec::new();
    for (instance, answers) in instances.iter().zip(1..) {
        assert_eq!(modality.store(instance), success(answers), "{}", instance.transfer_syntax);
        let image = newest(&link);
        assert_eq!(
            (image.sequence, image.image.as_ref().map(|image| image.mode())),
            (u32::from(answers), Some(Mode::Exact))
        );
        studies.push(image.study_group.clone());
        let received = fetched(&link, &image, &target);
        assert_eq!(received.transfer_syntax, instance.transfer_syntax);
        assert_eq!(received.sop_class, instance.sop_class);
        assert_eq!(received.sop_instance, instance.sop_instance);
        assert!(received.data_set == instance.data_set, "{} arrived changed", instance.transfer_syntax);
    }
    modality.release();
    // Three of one study, one of another; the names say nothing.
    assert!(studies.iter().all(|study| study.len() == 32), "{studies:?}");
    assert!(studies[0] == studies[2] && studies[2] == studies[3] && studies[0] != studies[1], "{studies:?}");
    let stored = |label: &str| gateway.measure("latentwire_dicom_objects_total", label);
    assert_eq!((stored("status=\"0000\""), stored("")), (4.0, 4.0));
    assert_eq!(gateway.measure("latentwire_dicom_buffered_bytes", ""), 0.0);
}

#[test]
fn by_default_an_object_travels_as_the_sender_chooses() {
    let link = Link::open();
    let gateway = Gateway::start(&link.workplace, link.sender.address, &["--below-floor", "send-marked"]);
    let chest = sample(CHEST);
    let mut modality = Modality::open(gateway.dicom, &[&chest]).expect("accepted");
    assert_eq!(modality.store(&chest), success(1));
    modality.release();
    let image = newest(&link);
    assert_eq!(image.image.as_ref().map(|image| image.mode()), Some(Mode::Latent));
    let received = fetched(&link, &image, &link.workplace.path("received.dcm"));
    assert_ne!(received.sop_instance, chest.sop_instance, "what is lossy has a UID of its own");
}

#[test]
fn what_no_latent_can_hold_travels_as_it_is() {
    let link = Link::open();
    let gateway = Gateway::start(&link.workplace, link.sender.address, &[]);
    let chest = sample(CHEST);
    let mut report = chest.clone();
    report.data_set.truncate(report.pixel_data_at());
    let video = chest.encapsulated(MPEG4, &[0x55; 1000]).renamed(1);
    let mut modality = Modality::open(gateway.dicom, &[&report, &video]).expect("accepted");
    for (instance, answers) in [(&report, 1), (&video, 2)] {
        assert_eq!(modality.store(instance), success(answers));
        let received = fetched(&link, &newest(&link), &link.workplace.path("received.dcm"));
        assert_eq!(received.transfer_syntax, instance.transfer_syntax);
        assert!(received.data_set == instance.data_set);
    }
    modality.release();
}

#[test]
fn storing_again_duplicates_nothing_not_even_after_a_restart() {
    let link = Link::open();
    let head = sample(HEAD);
    for _ in 0..2 {
        let gateway = Gateway::start(&link.workplace, link.sender.address, &["--mode", "exact"]);
        let mut modality = Modality::open(gateway.dicom, &[&head]).expect("accepted");
        assert_eq!(modality.store(&head), success(1));
        assert_eq!(modality.store(&head), success(2));
        modality.release();
    }
    assert_eq!(client::list_images(link.receiver.images).len(), 1);
}

#[test]
fn a_called_title_leads_to_its_destination() {
    let link = Link::open();
    let route = format!("SITE_B={}", latentwire_tests::workplace::DESTINATION);
    let flags = ["--destination", "nowhere", "--route", &route, "--mode", "exact"];
    let gateway = Gateway::start(&link.workplace, link.sender.address, &flags);
    let head = sample(HEAD);
    let mut modality = Modality::call(gateway.dicom, "CT1", "SITE_B", &[&head]).expect("accepted");
    assert_eq!(modality.store(&head), success(1));
    modality.release();
    let mut modality = Modality::open(gateway.dicom, &[&head]).expect("accepted");
    let answer = modality.store(&head);
    assert_eq!(answer.status, 0x0110);
    assert_eq!(answer.comment, "DESTINATION_UNKNOWN: see the gateway's log");
    modality.release();
    assert_eq!(client::list_images(link.receiver.images).len(), 1);
}

#[test]
fn the_page_lists_the_metrics_that_there_are() {
    let workplace = latentwire_tests::Workplace::new();
    let gateway = Gateway::start(&workplace, process::free_address(), &[]);
    let instance = sample(HEAD);
    let mut modality = Modality::open(gateway.dicom, &[&instance]).expect("accepted");
    assert_eq!(modality.store(&instance).status, 0xa700);
    modality.release();
    let own = |name: &str| name.starts_with("latentwire_dicom_");
    let family = |name: &str| {
        let endings = ["_bucket", "_sum", "_count"];
        let histogram = endings.iter().find_map(|ending| name.strip_suffix(ending));
        histogram.unwrap_or(name).to_owned()
    };
    let mut said: BTreeSet<String> =
        gateway.metrics().iter().map(|sample| family(&sample.name)).filter(|name| own(name)).collect();
    // There from the first delivery on.
    said.insert("latentwire_dicom_last_delivery_timestamp_seconds".to_owned());
    let page = fs::read_to_string(binaries::repository().join("docs/GATEWAY.md")).expect("the page");
    let listed: BTreeSet<String> = page.split('`').filter(|word| own(word)).map(str::to_owned).collect();
    assert_eq!(said, listed);
}
