//! What the gateway does not take: strangers, too much, too long, broken; each with its reason, and the next one is served.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use dicom_ul::{
    Pdu,
    association::Error,
    pdu::{
        AssociationRJ, AssociationRJResult, AssociationRQ, PDataValue, PDataValueType,
        PresentationContextProposed, UserVariableItem, write_pdu,
    },
};
use latentwire_tests::{
    Gateway, Instance, Link, Modality, Workplace, binaries, client,
    gateway::{AE_TITLE, mute_sender},
    modality::{self, RLE, rle_frame},
    process::free_address,
    wait_until,
};

const CHEST: &str = "dicom/chest_cr_8bit.dcm";
const HEAD: &str = "dicom/phantom_ct_head_16bit.dcm";

fn sample(path: &str) -> Instance {
    Instance::read(&binaries::sample(path))
}

/// A gateway without a sender.
fn alone(extra: &[&str]) -> (Gateway, Workplace) {
    let workplace = Workplace::new();
    (Gateway::start(&workplace, free_address(), extra), workplace)
}

fn rejection(opened: Result<Modality, Box<Error>>) -> AssociationRJ {
    match opened.map_err(|error| *error) {
        Err(Error::Rejected { association_rj, .. }) => association_rj,
        other => panic!("a rejection was due: {other:?}"),
    }
}

fn assert_echoes(gateway: &Gateway) {
    let mut modality = Modality::open(gateway.dicom, &[]).expect("accepted");
    assert_eq!(modality.echo().status, 0);
    modality.release();
}

/// What comes until the gateway closes the connection.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket has options");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the gateway closes in good order");
    bytes
}

#[test]
fn who_calls_or_is_called_wrongly_hears_why() {
    let (gateway, _workplace) = alone(&["--ae-title", "GATE", "--calling-ae-title", "CT1,CT2"]);
    for (calling, called, why) in [
        ("CT1", "OTHER", "called AE title not recognized"),
        ("STRANGER", "GATE", "calling AE title not recognized"),
    ] {
        let rejected = rejection(Modality::call(gateway.dicom, calling, called, &[]));
        assert_eq!(rejected.source.to_string(), why);
        assert_eq!(rejected.result, AssociationRJResult::Permanent);
    }
    let mut modality = Modality::call(gateway.dicom, "CT2", "GATE", &[]).expect("accepted");
    assert_eq!(modality.echo().status, 0);
    modality.release();
    for reason in ["CALLED_AE_TITLE_NOT_RECOGNIZED", "CALLING_AE_TITLE_NOT_RECOGNIZED"] {
        assert_eq!(gateway.measure("latentwire_dicom_associations_rejected_total", reason), 1.0);
        assert!(gateway.service.log().contains(reason), "{}", gateway.service.log());
    }
}

#[test]
fn more_associations_than_allowed_are_turned_away_for_the_moment() {
    let (gateway, _workplace) = alone(&["--max-associations", "2"]);
    let [first, mut second] = [(); 2].map(|()| Modality::open(gateway.dicom, &[]).expect("accepted"));
    let rejected = rejection(Modality::open(gateway.dicom, &[]));
    assert_eq!(rejected.source.to_string(), "local limit exceeded");
    assert_eq!(rejected.result, AssociationRJResult::Transient);
    assert_eq!(second.echo().status, 0, "those that are open are not disturbed");
    first.release();
    assert_echoes(&gateway);
    second.release();
}

#[test]
fn a_flood_of_connections_is_cut_short_and_the_open_ones_are_served() {
    let (gateway, _workplace) = alone(&["--max-associations", "1"]);
    let mut modality = Modality::open(gateway.dicom, &[]).expect("accepted");
    let flood: Vec<_> =
        (0..80).map(|_| TcpStream::connect(gateway.dicom).expect("the port is open")).collect();
    wait_until("connections are to be dropped", || {
        gateway.measure("latentwire_dicom_connections_dropped_total", "") >= 10.0
    });
    assert_eq!(modality.echo().status, 0);
    drop(flood);
    modality.release();
    wait_until("the flood is to be forgotten", || {
        gateway.measure("latentwire_dicom_connections_failed_total", "lost") >= 60.0
    });
    assert_echoes(&gateway);
}

#[test]
fn an_object_over_the_limit_is_refused_and_a_smaller_one_is_not() {
    let link = Link::open();
    let flags = ["--mode", "exact", "--max-object-bytes", "270000", "--max-buffered-bytes", "270000"];
    let gateway = Gateway::start(&link.workplace, link.sender.address, &flags);
    let (large, small) = (sample(CHEST), sample(HEAD));
    assert!(large.data_set.len() > 270_000 && small.data_set.len() < 270_000);
    let mut modality = Modality::open(gateway.dicom, &[&large, &small]).expect("accepted");
    let answer = modality.store(&large);
    assert_eq!((answer.status, answer.answers), (0xc000, 1));
    assert_eq!(answer.comment, "OBJECT_TOO_LARGE: this object cannot be sent");
    assert_eq!(modality.store(&small).status, 0);
    modality.release();
    assert_eq!(client::list_images(link.receiver.images).len(), 1);
}

#[test]
fn a_peer_that_never_stops_sending_an_object_is_aborted() {
    let (gateway, _workplace) = alone(&["--max-object-bytes", "100000"]);
    let instance = sample(HEAD);
    let mut modality = Modality::open(gateway.dicom, &[&instance]).expect("accepted");
    modality.request_store(&instance);
    modality.data_set(&instance, &vec![0; 200_001], false);
    assert!(matches!(modality.receive(), Ok(Pdu::AbortRQ { .. })));
    assert_eq!(gateway.measure("latentwire_dicom_associations_total", "flooded"), 1.0);
    assert_echoes(&gateway);
}

#[test]
fn silence_ends_an_association_wherever_it_falls() {
    let (gateway, _workplace) = alone(&["--idle-timeout", "2"]);
    // Before anything was asked.
    let mut silent = TcpStream::connect(gateway.dicom).expect("the port is open");
    assert_eq!(rest(&mut silent), [7, 0, 0, 0, 0, 4, 0, 0, 2, 0]);
    // In the middle of the first PDU.
    let mut half = TcpStream::connect(gateway.dicom).expect("the port is open");
    half.write_all(&[1, 0, 0, 0, 0, 200, 0, 1]).expect("written");
    assert_eq!(rest(&mut half), [7, 0, 0, 0, 0, 4, 0, 0, 2, 0]);
    // Between messages, and in the middle of an object.
    let instance = sample(HEAD);
    for in_object in [false, true] {
        let mut modality = Modality::open(gateway.dicom, &[&instance]).expect("accepted");
        if in_object {
            modality.request_store(&instance);
            modality.data_set(&instance, &instance.data_set[..1000], false);
        }
        assert!(matches!(modality.receive(), Ok(Pdu::AbortRQ { .. })));
    }
    assert_eq!(gateway.measure("latentwire_dicom_associations_total", "idle"), 2.0);
    assert_eq!(gateway.measure("latentwire_dicom_connections_failed_total", "idle"), 2.0);
    assert_eq!(gateway.measure("latentwire_dicom_buffered_bytes", ""), 0.0);
    assert_echoes(&gateway);
}

#[test]
fn garbage_ends_its_own_connection_alone() {
    let (gateway, _workplace) = alone(&[]);
    let mut bystander = Modality::open(gateway.dicom, &[]).expect("accepted");
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"[..],
        // An association request of 4 GiB, an empty one, a P-DATA before an association, a PDU of no type.
        b"\x01\0\xff\xff\xff\xff",
        b"\x01\0\0\0\0\x02\0\x01",
        b"\x04\0\0\0\0\x06\0\0\0\x02\x01\x03",
        b"\x2a\0\0\0\0\0",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\x55",
    ] {
        let mut stream = TcpStream::connect(gateway.dicom).expect("the port is open");
        stream.write_all(garbage).expect("written");
        assert_eq!(rest(&mut stream)[..1], [7], "{garbage:?} must end in an abort");
    }
    assert_eq!(bystander.echo().status, 0);
    bystander.release();
    // The same within an association: a data set that nothing announced.
    let instance = sample(HEAD);
    let mut modality = Modality::open(gateway.dicom, &[&instance]).expect("accepted");
    modality.data_set(&instance, &instance.data_set, true);
    assert!(matches!(modality.receive(), Ok(Pdu::AbortRQ { .. })));
    assert!(!gateway.service.log().contains("panicked"), "{}", gateway.service.log());
    assert_echoes(&gateway);
}

#[test]
fn damaged_conversations_end_and_the_gateway_lives_on() {
    let (gateway, _workplace) = alone(&[]);
    let instance = sample(HEAD);
    let whole = conversation(&instance);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |most: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % most as u64).expect("below most")
    };
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=below(4) {
            let at = below(bytes.len());
            bytes[at] = u8::try_from(below(256)).expect("a byte");
        }
        bytes.truncate(bytes.len() - below(bytes.len() / 2));
        let mut stream = TcpStream::connect(gateway.dicom).expect("the port is open");
        // The gateway may have had enough before it has read all.
        let _ = stream.write_all(&bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket has options");
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it must end by itself"),
        }
    }
    wait_until("all is to be given back", || {
        gateway.measure("latentwire_dicom_associations_open", "") == 0.0
            && gateway.measure("latentwire_dicom_buffered_bytes", "") == 0.0
    });
    assert!(!gateway.service.log().contains("panicked"), "{}", gateway.service.log());
    assert_eq!(gateway.measure("latentwire_dicom_objects_total", "status=\"0000\""), 0.0);
    assert_echoes(&gateway);
}

/// What a modality sends to store a small object, from the request of an association to its release.
fn conversation(instance: &Instance) -> Vec<u8> {
    let proposed = PresentationContextProposed {
        id: 1,
        abstract_syntax: instance.sop_class.clone(),
        transfer_syntaxes: vec![instance.transfer_syntax.clone()],
    };
    let request = AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "MODALITY".to_owned(),
        called_ae_title: AE_TITLE.to_owned(),
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: vec![proposed],
        user_variables: vec![UserVariableItem::MaxLength(16_384)],
    };
    let value = |value_type, data: Vec<u8>| {
        let value = PDataValue { presentation_context_id: 1, value_type, is_last: true, data };
        Pdu::PData { data: vec![value] }
    };
    let command = modality::store_command(1, instance);
    let data_set = instance.data_set[..instance.pixel_data_at()].to_vec();
    let mut bytes = Vec::new();
    for pdu in [
        request.into(),
        value(PDataValueType::Command, command),
        value(PDataValueType::Data, data_set),
        Pdu::ReleaseRQ,
    ] {
        write_pdu(&mut bytes, &pdu).expect("a PDU can be written to memory");
    }
    bytes
}

#[test]
fn an_object_that_is_not_what_was_announced_is_refused() {
    let (gateway, _workplace) = alone(&[]);
    let (chest, head) = (sample(CHEST), sample(HEAD));
    let mut modality = Modality::open(gateway.dicom, &[&chest, &head]).expect("accepted");
    let other = Instance { sop_instance: "1.2.3".to_owned(), ..head.clone() };
    let garbled = Instance { data_set: b"\x08\0\x16\0\x01\x02\0\0".to_vec(), ..head.clone() };
    let empty = Instance { data_set: Vec::new(), ..head.clone() };
    for (instance, status, comment) in [
        (other, 0xa900, "DATA_SET_MISMATCH: not the object of the request"),
        (garbled, 0xc000, "DATA_SET_MALFORMED: this object cannot be sent"),
        (empty, 0xa900, "DATA_SET_MISMATCH: not the object of the request"),
    ] {
        let answer = modality.store(&instance);
        assert_eq!((answer.status, answer.comment.as_str()), (status, comment));
    }
    modality.release();
}

#[test]
fn broken_pixels_are_refused_as_the_sender_refuses_them() {
    let link = Link::open();
    let gateway = Gateway::start(&link.workplace, link.sender.address, &[]);
    let chest = sample(CHEST);
    let mut frame = rle_frame(chest.pixels());
    // The only segment begins behind the end of the frame.
    frame[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let broken = chest.encapsulated(RLE, &frame);
    let mut modality = Modality::open(gateway.dicom, &[&broken, &chest]).expect("accepted");
    let answer = modality.store(&broken);
    assert_eq!(answer.status, 0xc000);
    assert_eq!(answer.comment, "MALFORMED_FILE: this object cannot be sent");
    assert_eq!(modality.store(&chest).status, 0, "the next object of the study goes through");
    modality.release();
    assert_eq!(client::list_images(link.receiver.images).len(), 1);
}

#[test]
fn full_memory_refuses_for_the_moment() {
    let (_listener, sender) = mute_sender();
    let workplace = Workplace::new();
    let flags = ["--max-object-bytes", "300000", "--max-buffered-bytes", "300000", "--drain-timeout", "0"];
    let gateway = Gateway::start(&workplace, sender, &flags);
    let instance = sample(CHEST);
    let [mut first, mut second] =
        [(); 2].map(|()| Modality::open(gateway.dicom, &[&instance]).expect("accepted"));
    first.begin_store(&instance);
    wait_until("the object is to be taken in", || {
        gateway.measure("latentwire_dicom_buffered_bytes", "") >= 282_000.0
    });
    let answer = second.store(&instance);
    assert_eq!((answer.status, answer.comment.as_str()), (0xa700, "BUFFER_FULL: try again later"));
    second.release();
    first.abort();
    wait_until("the memory is to be given back", || {
        gateway.measure("latentwire_dicom_buffered_bytes", "") == 0.0
    });
}
