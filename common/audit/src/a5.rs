//! Records as audit messages of DICOM PS3.15, section A.5: one `AuditMessage` a record, for an audit record repository.
//!
//! | kind | EventID | action |
//! |---|---|---|
//! | `transfer`, `exact_requested` | 110104 DICOM Instances Transferred | C at the receiver, R at the sender |
//! | `image_fetched`, `image_deleted` | 110103 DICOM Instances Accessed | R, D |
//! | `service_started`, `service_stopped` | 110100 Application Activity | E; type 110120 Application Start, 110121 Application Stop |
//! | `file_opened`, `log_recovered` | 110101 Audit Log Used | C, U |
//! | `session_refused`, `session_ended`, `caller_refused` | 110113 Security Alert | E; type 110126 Node Authentication |
//! | `trust_reloaded`, `key_revoked` | 110113 Security Alert | E; type 110129 Security Configuration |
//!
//! Without the audit key the messages say who did what with which transfer, and name neither patient nor study.

use std::fmt::Write;

use crate::{Event, Identifiers, Kind, Outcome, Party, Record};

/// Which end wrote the log; decides who is the source and who the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The log of a receiver.
    Receiver,
    /// The log of a sender.
    Sender,
}

/// A DICOM code of PS3.16, Context Groups 400 to 405.
type Code = (&'static str, &'static str);

const SOURCE: Code = ("110153", "Source Role ID");
const DESTINATION: Code = ("110152", "Destination Role ID");
const APPLICATION: Code = ("110150", "Application");
const STUDY_UID: Code = ("110180", "Study Instance UID");
const SECURITY_RESOURCE: Code = ("110182", "Node ID");

/// One message, without an XML declaration and without a line end.
#[must_use]
pub fn message(record: &Record, end: End) -> String {
    let mut xml = Xml(String::with_capacity(2048));
    xml.open("AuditMessage", &[]);
    identification(&mut xml, record, end);
    participants(&mut xml, &record.event, end);
    source(&mut xml, &record.event, end);
    objects(&mut xml, record);
    xml.close("AuditMessage");
    xml.0
}

fn identification(xml: &mut Xml, record: &Record, end: End) {
    let event = &record.event;
    let (id, action, kind) = codes(event.kind, end);
    let outcome = match event.outcome {
        Outcome::Delivered | Outcome::DoneAlready | Outcome::Success => "0",
        Outcome::Cancelled | Outcome::Conflict | Outcome::Refused => "4",
        Outcome::Failed => "8",
    };
    xml.open(
        "EventIdentification",
        &[("EventActionCode", action), ("EventDateTime", &record.time), ("EventOutcomeIndicator", outcome)],
    );
    xml.code("EventID", id);
    if let Some(kind) = kind {
        xml.code("EventTypeCode", kind);
    }
    let mut described = event.outcome.name().to_owned();
    for more in [&event.reason, &event.detail].into_iter().flatten() {
        let _ = write!(described, " {more}");
    }
    if let Some(more) = event.more {
        let _ = write!(described, " ({more} more of the kind were not written one by one)");
    }
    xml.element("EventOutcomeDescription", &described);
    xml.close("EventIdentification");
}

fn codes(kind: Kind, end: End) -> (Code, &'static str, Option<Code>) {
    const TRANSFERRED: Code = ("110104", "DICOM Instances Transferred");
    const ACCESSED: Code = ("110103", "DICOM Instances Accessed");
    const ACTIVITY: Code = ("110100", "Application Activity");
    const LOG_USED: Code = ("110101", "Audit Log Used");
    const ALERT: Code = ("110113", "Security Alert");
    const NODE: Code = ("110126", "Node Authentication");
    const CONFIGURATION: Code = ("110129", "Security Configuration");
    match kind {
        Kind::Transfer | Kind::ExactRequested => {
            (TRANSFERRED, if end == End::Receiver { "C" } else { "R" }, None)
        }
        Kind::ImageFetched => (ACCESSED, "R", None),
        Kind::ImageDeleted => (ACCESSED, "D", None),
        Kind::ServiceStarted => (ACTIVITY, "E", Some(("110120", "Application Start"))),
        Kind::ServiceStopped => (ACTIVITY, "E", Some(("110121", "Application Stop"))),
        Kind::FileOpened => (LOG_USED, "C", None),
        Kind::LogRecovered => (LOG_USED, "U", None),
        Kind::SessionRefused | Kind::SessionEnded | Kind::CallerRefused => (ALERT, "E", Some(NODE)),
        Kind::TrustReloaded | Kind::KeyRevoked => (ALERT, "E", Some(CONFIGURATION)),
    }
}

/// The two ends, and who called; the writing service is always there, so that there is at least one.
fn participants(xml: &mut Xml, event: &Event, end: End) {
    let moved = matches!(event.kind, Kind::Transfer | Kind::ExactRequested);
    let (own, other) = match (moved, end) {
        (true, End::Sender) => (SOURCE, DESTINATION),
        (true, End::Receiver) => (DESTINATION, SOURCE),
        (false, _) => (APPLICATION, APPLICATION),
    };
    let own_name = if end == End::Sender { "sender-svc" } else { "receiver-svc" };
    let nobody = Party::default();
    let knocked = matches!(event.kind, Kind::SessionRefused | Kind::SessionEnded);
    // Who asked for it: the caller where there is one, else the sender.
    let peer_asks = event.caller.is_none() && (knocked || (moved && end == End::Receiver));
    let own_asks = event.caller.is_none() && event.peer.as_ref().is_none_or(|_| !peer_asks);
    participant(xml, event.service.as_ref().unwrap_or(&nobody), own_name, own_asks, own);
    if let Some(peer) = &event.peer {
        participant(xml, peer, "unknown", peer_asks, other);
    }
    if let Some(caller) = &event.caller {
        participant(xml, caller, "unknown", true, APPLICATION);
    }
}

fn participant(xml: &mut Xml, party: &Party, otherwise: &str, asks: bool, role: Code) {
    let name = party.name.as_deref().unwrap_or(otherwise);
    // The fingerprint is what identifies; the name is what an administrator gave it.
    let id = party.key.as_deref().or(party.address.as_deref()).unwrap_or(name);
    let asks = if asks { "true" } else { "false" };
    let mut attributes = vec![("UserID", id), ("UserName", name), ("UserIsRequestor", asks)];
    if let Some(address) = &party.address {
        attributes.push(("NetworkAccessPointID", address));
        attributes.push(("NetworkAccessPointTypeCode", "2"));
    }
    xml.open("ActiveParticipant", &attributes);
    xml.code("RoleIDCode", role);
    xml.close("ActiveParticipant");
}

fn source(xml: &mut Xml, event: &Event, end: End) {
    let id = event.service.as_ref().and_then(|service| service.name.as_deref());
    let otherwise = if end == End::Sender { "sender-svc" } else { "receiver-svc" };
    xml.open("AuditSourceIdentification", &[("AuditSourceID", id.unwrap_or(otherwise))]);
    // 4: application server process, PS3.15 A.5.2.3.
    xml.empty("AuditSourceTypeCode", &[("csd-code", "4")]);
    xml.close("AuditSourceIdentification");
}

fn objects(xml: &mut Xml, record: &Record) {
    let event = &record.event;
    let images =
        matches!(event.kind, Kind::Transfer | Kind::ExactRequested | Kind::ImageFetched | Kind::ImageDeleted);
    if !images {
        if matches!(event.kind, Kind::FileOpened | Kind::LogRecovered) {
            // 13: security resource, as A.5.3.2 asks for an audit log.
            let attributes = [
                ("ParticipantObjectID", "latentwire-audit-log"),
                ("ParticipantObjectTypeCode", "2"),
                ("ParticipantObjectTypeCodeRole", "13"),
            ];
            xml.open("ParticipantObjectIdentification", &attributes);
            xml.rfc_code("ParticipantObjectIDTypeCode", ("12", "URI"));
            xml.element("ParticipantObjectName", "Security Audit Log");
            xml.close("ParticipantObjectIdentification");
        } else if event.kind != Kind::ServiceStarted && event.kind != Kind::ServiceStopped {
            let subject = event.peer.as_ref().and_then(|peer| peer.key.as_deref().or(peer.name.as_deref()));
            let attributes = [
                ("ParticipantObjectID", subject.unwrap_or("unknown")),
                ("ParticipantObjectTypeCode", "2"),
                ("ParticipantObjectTypeCodeRole", "13"),
            ];
            xml.open("ParticipantObjectIdentification", &attributes);
            xml.code("ParticipantObjectIDTypeCode", SECURITY_RESOURCE);
            xml.close("ParticipantObjectIdentification");
        }
        return;
    }
    let identifiers = record.identifiers.as_ref();
    study(xml, record, identifiers);
    if let Some(identifiers) = identifiers
        && (identifiers.patient_id.is_some() || identifiers.patient_name.is_some())
    {
        let id = identifiers.patient_id.as_deref().unwrap_or_default();
        let attributes = [
            ("ParticipantObjectID", id),
            ("ParticipantObjectTypeCode", "1"),
            ("ParticipantObjectTypeCodeRole", "1"),
        ];
        xml.open("ParticipantObjectIdentification", &attributes);
        xml.rfc_code("ParticipantObjectIDTypeCode", ("2", "Patient Number"));
        if let Some(name) = &identifiers.patient_name {
            xml.element("ParticipantObjectName", name);
        }
        xml.close("ParticipantObjectIdentification");
    }
}

/// The study, named where its identifiers were opened; the transfer and its figures are details of it.
fn study(xml: &mut Xml, record: &Record, identifiers: Option<&Identifiers>) {
    let event = &record.event;
    let known = identifiers.and_then(|identifiers| identifiers.study_instance_uid.as_deref());
    let attributes = [
        ("ParticipantObjectID", known.unwrap_or("sealed")),
        ("ParticipantObjectTypeCode", "2"),
        ("ParticipantObjectTypeCodeRole", "3"),
    ];
    xml.open("ParticipantObjectIdentification", &attributes);
    xml.code("ParticipantObjectIDTypeCode", STUDY_UID);
    let numbers = [("coded_bytes", event.coded_bytes), ("sealed_bytes", event.sealed_bytes)];
    let numbers = numbers.map(|(name, value)| (name, value.map(|value| value.to_string())));
    let texts = [
        ("transfer_id", &event.transfer_id),
        ("image_id", &event.image_id),
        ("form", &event.form),
        ("model", &event.model),
        ("decoder_digest", &event.decoder_digest),
        ("verdict", &event.verdict),
    ];
    let record_number = Some(record.seq.to_string());
    let details = texts.into_iter().chain(numbers.iter().map(|(name, value)| (*name, value)));
    for (name, value) in details.chain([("audit_record", &record_number)]) {
        if let Some(value) = value {
            let value = base64(value.as_bytes());
            xml.empty("ParticipantObjectDetail", &[("type", name), ("value", &value)]);
        }
    }
    if let Some(identifiers) = identifiers {
        for (name, value) in [
            ("study_group", &identifiers.study_group),
            ("series_instance_uid", &identifiers.series_instance_uid),
            ("derived_sop_instance_uid", &identifiers.derived_sop_instance_uid),
            ("source_sha256", &identifiers.source_sha256),
        ] {
            if let Some(value) = value {
                let value = base64(value.as_bytes());
                xml.empty("ParticipantObjectDetail", &[("type", name), ("value", &value)]);
            }
        }
        description(xml, identifiers);
    }
    xml.close("ParticipantObjectIdentification");
}

fn description(xml: &mut Xml, identifiers: &Identifiers) {
    let Identifiers { accession_number, sop_class_uid, sop_instance_uid, .. } = identifiers;
    if accession_number.is_none() && sop_class_uid.is_none() && sop_instance_uid.is_none() {
        return;
    }
    xml.open("ParticipantObjectDescription", &[]);
    if let Some(number) = accession_number {
        xml.empty("Accession", &[("Number", number)]);
    }
    if sop_class_uid.is_some() || sop_instance_uid.is_some() {
        let mut attributes = vec![("NumberOfInstances", "1")];
        if let Some(uid) = sop_class_uid {
            attributes.insert(0, ("UID", uid));
        }
        xml.open("SOPClass", &attributes);
        if let Some(uid) = sop_instance_uid {
            xml.empty("Instance", &[("UID", uid)]);
        }
        xml.close("SOPClass");
    }
    xml.close("ParticipantObjectDescription");
}

/// Writes elements; every value is escaped.
struct Xml(String);

impl Xml {
    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.0.push('>');
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.0.push_str("/>");
    }

    fn element(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.escaped(text);
        self.close(name);
    }

    fn code(&mut self, name: &str, (code, meaning): Code) {
        self.empty(name, &[("csd-code", code), ("codeSystemName", "DCM"), ("originalText", meaning)]);
    }

    fn rfc_code(&mut self, name: &str, (code, meaning): Code) {
        self.empty(name, &[("csd-code", code), ("codeSystemName", "RFC-3881"), ("originalText", meaning)]);
    }

    fn close(&mut self, name: &str) {
        let _ = write!(self.0, "</{name}>");
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let _ = write!(self.0, "<{name}");
        for (name, value) in attributes {
            let _ = write!(self.0, " {name}=\"");
            self.escaped(value);
            self.0.push('"');
        }
    }

    fn escaped(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                // XML 1.0 has no way to write these.
                letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                    self.0.push(' ');
                }
                letter => self.0.push(letter),
            }
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn what_a_caller_says_stays_a_value() {
        let mut event = Event::new(Kind::SessionRefused, Outcome::Refused);
        event.peer = Some(Party { name: Some("\"><Evil a='&".into()), ..Party::default() });
        let record =
            Record { seq: 0, file: 1, time: crate::now(), event, is_sealed: false, identifiers: None };
        let xml = message(&record, End::Receiver);
        assert!(!xml.contains("<Evil") && xml.contains("&quot;&gt;&lt;Evil a=&apos;&amp;"), "{xml}");
    }
}
