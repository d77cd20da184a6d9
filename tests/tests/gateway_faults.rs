//! Peers that are down, slow or gone, and the gateway's own end: an object is delivered or the modality hears that it is not.

use dicom_ul::Pdu;
use latentwire_tests::{
    Gateway, Instance, Link, Modality, Receiver, Sender, Workplace, admin, binaries, client,
    gateway::mute_sender,
    process::{STOP_LIMIT, Service, free_address},
    wait_until,
};

const HEAD: &str = "dicom/phantom_ct_head_16bit.dcm";

fn head() -> Instance {
    Instance::read(&binaries::sample(HEAD))
}

fn stored(gateway: &Gateway, reason: &str) -> f64 {
    gateway.measure("latentwire_dicom_objects_total", &format!("reason=\"{reason}\""))
}

#[test]
fn while_the_receiver_is_down_the_modality_is_told_to_try_again() {
    let workplace = Workplace::new();
    let (transfer, images) = (free_address(), free_address());
    let sender = Sender::start(&workplace, transfer, &[]);
    let gateway = Gateway::start(&workplace, sender.address, &["--mode", "exact"]);
    let instance = head();
    let mut modality = Modality::open(gateway.dicom, &[&instance]).expect("accepted");
    let answer = modality.store(&instance);
    assert_eq!((answer.status, answer.comment.as_str()), (0xa700, "PEER_UNAVAILABLE: try again later"));

    // In the same association, once it is there; and again after it was away.
    let mut receiver = Receiver::start_at(&workplace, transfer, images);
    assert_eq!(modality.store(&instance).status, 0);
    assert!(receiver.service.terminate().status.success());
    assert_eq!(modality.store(&instance.renamed(1)).status, 0xa700);
    let receiver = Receiver::start_at(&workplace, transfer, images);
    assert_eq!(modality.store(&instance.renamed(1)).status, 0);
    modality.release();
    assert_eq!(client::list_images(receiver.images).len(), 2);
    drop((gateway, sender, receiver));
}

#[test]
fn while_the_sender_is_down_the_modality_is_told_to_try_again() {
    let Link { sender, receiver, workplace } = Link::open();
    let address = sender.address;
    let gateway = Gateway::start(&workplace, address, &["--mode", "exact"]);
    let instance = head();
    let mut modality = Modality::open(gateway.dicom, &[&instance]).expect("accepted");
    assert_eq!(modality.store(&instance).status, 0);
    drop(sender);
    let answer = modality.store(&instance.renamed(1));
    assert_eq!((answer.status, answer.comment.as_str()), (0xa700, "SENDER_UNAVAILABLE: try again later"));

    let launch = Sender::launch(&workplace, "sender.key", address, receiver.transfer, &[]);
    let service = Service::start(launch).expect("it starts again where it was");
    assert_eq!(modality.store(&instance.renamed(1)).status, 0);
    modality.release();
    assert_eq!(client::list_images(receiver.images).len(), 2);
    drop((gateway, service));
}

#[test]
fn what_listens_at_the_senders_port_must_be_a_sender() {
    let link = Link::open();
    let gateway = Gateway::start(&link.workplace, link.receiver.images, &[]);
    let instance = head();
    let mut modality = Modality::open(gateway.dicom, &[&instance]).expect("accepted");
    let answer = modality.store(&instance);
    assert_eq!((answer.status, answer.comment.as_str()), (0x0110, "NO_SENDER: see the gateway's log"));
    modality.release();
}

#[test]
fn a_delivery_that_takes_too_long_is_no_success() {
    let (_listener, sender) = mute_sender();
    let workplace = Workplace::new();
    let gateway = Gateway::start(&workplace, sender, &["--delivery-timeout", "1"]);
    let instance = head();
    let mut modality = Modality::open(gateway.dicom, &[&instance]).expect("accepted");
    let answer = modality.store(&instance);
    assert_eq!((answer.status, answer.comment.as_str()), (0xa700, "DELIVERY_TIMEOUT: try again later"));
    modality.release();
}

#[test]
fn what_a_modality_gives_up_leaves_nothing_behind() {
    let (_listener, sender) = mute_sender();
    let workplace = Workplace::new();
    let gateway = Gateway::start(&workplace, sender, &[]);
    let instance = head();
    let open = || Modality::open(gateway.dicom, &[&instance]).expect("accepted");
    let nothing_is_left = || {
        wait_until("memory and association are to be given back", || {
            gateway.measure("latentwire_dicom_buffered_bytes", "") == 0.0
                && gateway.measure("latentwire_dicom_associations_open", "") == 0.0
        });
    };
    let on_its_way = || {
        wait_until("the object is to be taken in", || {
            gateway.measure("latentwire_dicom_buffered_bytes", "") > 0.0
        });
    };

    // By a C-CANCEL while it is being delivered; the association goes on.
    let mut modality = open();
    let message = modality.begin_store(&instance);
    on_its_way();
    modality.cancel(&instance, message);
    let answer = modality.answer();
    assert_eq!((answer.answers, answer.status), (message, 0xfe00));
    assert_eq!(modality.echo().status, 0);
    // A cancel of what has been answered means nothing.
    modality.cancel(&instance, message);
    assert_eq!(modality.echo().status, 0);
    modality.release();
    nothing_is_left();

    // By an abort while it is being delivered, by a lost connection, and in the middle of the data set.
    let mut modality = open();
    modality.begin_store(&instance);
    on_its_way();
    modality.abort();
    nothing_is_left();

    let mut modality = open();
    modality.begin_store(&instance);
    on_its_way();
    drop(modality);
    nothing_is_left();

    let mut modality = open();
    modality.request_store(&instance);
    modality.data_set(&instance, &instance.data_set[..100_000], false);
    on_its_way();
    drop(modality);
    nothing_is_left();

    assert_eq!(stored(&gateway, "CANCELLED"), 3.0, "an object that never came in whole is not counted");
    assert_eq!(gateway.measure("latentwire_dicom_associations_total", "aborted_by_peer"), 1.0);
    assert_eq!(gateway.measure("latentwire_dicom_associations_total", "lost"), 2.0);
    assert_eq!(gateway.measure("latentwire_dicom_objects_total", "status=\"0000\""), 0.0);
}

#[test]
fn a_stop_in_the_middle_of_a_study_finishes_the_object_and_takes_no_new_association() {
    let link = Link::open();
    let mut gateway = Gateway::start(&link.workplace, link.sender.address, &["--mode", "exact"]);
    let instance = head();
    let mut modality = Modality::open(gateway.dicom, &[&instance]).expect("accepted");
    assert_eq!(modality.store(&instance).status, 0);
    let second = instance.renamed(1);
    let (begin, end) = second.data_set.split_at(100_000);
    modality.request_store(&second);
    modality.data_set(&second, begin, false);
    gateway.service.signal_termination();
    wait_until("the gateway is to say that it stops", || {
        admin::get(gateway.service.admin(), "/readyz").is_ok_and(|answer| answer.status == 503)
    });
    wait_until("no new association is to be taken", || Modality::open(gateway.dicom, &[]).is_err());
    modality.data_set(&second, end, true);
    assert_eq!(modality.answer().status, 0, "the object under way is delivered");
    // A study that goes on at once may; one that rests is ended, and the modality knows it.
    assert!(matches!(modality.receive(), Ok(Pdu::AbortRQ { .. })));
    let status = gateway.service.exit_within(STOP_LIMIT).expect("it ends");
    assert!(status.success(), "{status}\n{}", gateway.service.log());
    assert_eq!(client::list_images(link.receiver.images).len(), 2);
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let (_listener, sender) = mute_sender();
    let workplace = Workplace::new();
    let mut gateway = Gateway::start(&workplace, sender, &["--drain-timeout", "1"]);
    let instance = head();
    let mut modality = Modality::open(gateway.dicom, &[&instance]).expect("accepted");
    modality.begin_store(&instance);
    wait_until("the object is to be taken in", || {
        gateway.measure("latentwire_dicom_buffered_bytes", "") > 0.0
    });
    gateway.service.signal_termination();
    assert!(matches!(modality.receive(), Ok(Pdu::AbortRQ { .. })), "no answer, so no success");
    let status = gateway.service.exit_within(STOP_LIMIT).expect("it ends");
    assert!(status.success(), "{status}\n{}", gateway.service.log());
    assert!(gateway.service.log().contains("associations are aborted"), "{}", gateway.service.log());
}
