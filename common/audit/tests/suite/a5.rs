//! The messages of PS3.15 A.5: well-formed, in the order of the schema, and with what each event asks for.

use latentwire_audit::a5::{End, message};
use latentwire_audit::{Event, Identifiers, Kind, Outcome, Party, Record};

fn record(kind: Kind, identifiers: Option<Identifiers>) -> Record {
    let mut event = Event::new(kind, Outcome::Success);
    event.service = Some(Party { key: Some("aaaa bbbb".into()), ..Party::default() });
    event.peer = Some(Party {
        name: Some("clinic <a> & \"b\"".into()),
        key: Some("cccc dddd".into()),
        address: Some("192.0.2.1".into()),
    });
    event.transfer_id = Some("00".repeat(16));
    Record { seq: 3, file: 1, time: "2026-11-22T01:02:03.004Z".into(), event, is_sealed: true, identifiers }
}

fn whose() -> Identifiers {
    let mut whose = Identifiers::default();
    whose.patient_id = Some("4711".into());
    whose.patient_name = Some("MÜLLER^<ANNA>".into());
    whose.accession_number = Some("ACC1".into());
    whose.study_instance_uid = Some("1.2.3".into());
    whose.series_instance_uid = Some("1.2.3.4".into());
    whose.sop_class_uid = Some("1.2.840.10008.5.1.4.1.1.2".into());
    whose.sop_instance_uid = Some("1.2.3.4.5".into());
    whose
}

/// An element, read by a small strict parser of our own output: names, attributes, text, children.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

fn parse(xml: &str) -> Element {
    let mut at = 0;
    let root = element(xml, &mut at);
    assert_eq!(at, xml.len(), "nothing follows the root");
    root
}

fn element(xml: &str, at: &mut usize) -> Element {
    let rest = &xml[*at..];
    assert!(rest.starts_with('<'), "an element at {}", *at);
    let end = rest.find('>').expect("a tag ends");
    let tag = &rest[1..end];
    assert!(!tag.contains('<'), "{tag}");
    let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
    let (name, mut given) = tag.split_once(' ').unwrap_or((tag, ""));
    let mut found = Element { name: name.to_owned(), ..Element::default() };
    while !given.trim().is_empty() {
        let (name, after) = given.trim_start().split_once("=\"").expect("an attribute");
        let (value, after) = after.split_once('"').expect("a value ends");
        found.attributes.push((name.to_owned(), unescape(value)));
        given = after;
    }
    *at += end + 1;
    if is_empty {
        return found;
    }
    loop {
        let rest = &xml[*at..];
        let next = rest.find('<').expect("an element ends");
        found.text.push_str(&unescape(&rest[..next]));
        *at += next;
        if let Some(close) = xml[*at..].strip_prefix("</") {
            let end = close.find('>').expect("a tag ends");
            assert_eq!(&close[..end], found.name);
            *at += end + 3;
            return found;
        }
        found.children.push(element(xml, at));
    }
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(place) = rest.find('&') {
        plain.push_str(&rest[..place]);
        let (entity, after) = rest[place + 1..].split_once(';').expect("an entity ends");
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            other => panic!("&{other};"),
        });
        rest = after;
    }
    plain + rest
}

impl Element {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Element> + use<'a, 'n> {
        self.children.iter().filter(move |child| child.name == name)
    }

    fn one(&self, name: &str) -> &Element {
        let mut all = self.all(name);
        let first = all.next().unwrap_or_else(|| panic!("{} has no {name}", self.name));
        assert!(all.next().is_none(), "{} has several {name}", self.name);
        first
    }
}

/// The schema of PS3.15 A.5.1, as far as these messages go: order, number, and attributes that must be there.
fn check(message: &Element) {
    assert_eq!(message.name, "AuditMessage");
    in_order(
        message,
        &[
            ("EventIdentification", 1..=1),
            ("ActiveParticipant", 1..=9),
            ("AuditSourceIdentification", 1..=1),
            ("ParticipantObjectIdentification", 0..=9),
        ],
    );
    let event = message.one("EventIdentification");
    in_order(event, &[("EventID", 1..=1), ("EventTypeCode", 0..=9), ("EventOutcomeDescription", 0..=1)]);
    assert!(matches!(event.attribute("EventActionCode"), Some("C" | "R" | "U" | "D" | "E")));
    assert!(matches!(event.attribute("EventOutcomeIndicator"), Some("0" | "4" | "8" | "12")));
    assert!(event.attribute("EventDateTime").is_some_and(|time| time.ends_with('Z') && time.contains('T')));
    for code in event.all("EventID").chain(event.all("EventTypeCode")) {
        assert!(code.attribute("csd-code").is_some_and(|code| code.parse::<u32>().is_ok()));
        assert_eq!(code.attribute("codeSystemName"), Some("DCM"));
        assert!(code.attribute("originalText").is_some());
    }
    for participant in message.all("ActiveParticipant") {
        in_order(participant, &[("RoleIDCode", 1..=1)]);
        assert!(participant.attribute("UserID").is_some_and(|id| !id.is_empty()));
        assert!(matches!(participant.attribute("UserIsRequestor"), Some("true" | "false")));
        assert_eq!(
            participant.attribute("NetworkAccessPointID").is_some(),
            participant.attribute("NetworkAccessPointTypeCode").is_some()
        );
    }
    let requestors =
        message.all("ActiveParticipant").filter(|p| p.attribute("UserIsRequestor") == Some("true"));
    assert_eq!(requestors.count(), 1, "somebody asked, and one alone");
    let source = message.one("AuditSourceIdentification");
    assert!(source.attribute("AuditSourceID").is_some_and(|id| !id.is_empty()));
    for object in message.all("ParticipantObjectIdentification") {
        in_order(
            object,
            &[
                ("ParticipantObjectIDTypeCode", 1..=1),
                ("ParticipantObjectName", 0..=1),
                ("ParticipantObjectDetail", 0..=20),
                ("ParticipantObjectDescription", 0..=1),
            ],
        );
        for name in ["ParticipantObjectID", "ParticipantObjectTypeCode", "ParticipantObjectTypeCodeRole"] {
            assert!(object.attribute(name).is_some(), "{name}");
        }
        for description in object.all("ParticipantObjectDescription") {
            in_order(description, &[("Accession", 0..=1), ("SOPClass", 0..=1)]);
        }
    }
}

fn in_order(element: &Element, parts: &[(&str, std::ops::RangeInclusive<usize>)]) {
    let places: Vec<usize> = element
        .children
        .iter()
        .map(|child| {
            let place = parts.iter().position(|(name, _)| *name == child.name);
            place.unwrap_or_else(|| panic!("{} in {}", child.name, element.name))
        })
        .collect();
    assert!(places.is_sorted(), "{}: {places:?}", element.name);
    for (name, number) in parts {
        assert!(number.contains(&element.all(name).count()), "{name} in {}", element.name);
    }
}

#[test]
fn every_kind_makes_a_valid_message_at_either_end() {
    for kind in Kind::ALL {
        for end in [End::Sender, End::Receiver] {
            for identifiers in [None, Some(whose())] {
                check(&parse(&message(&record(kind, identifiers), end)));
            }
            let mut bare = record(kind, None);
            bare.event = Event::new(kind, Outcome::Failed);
            check(&parse(&message(&bare, end)));
            let mut called = record(kind, None);
            called.event.caller = Some(Party { name: Some("pacs".into()), ..Party::default() });
            check(&parse(&message(&called, end)));
        }
    }
}

#[test]
fn a_transfer_is_110104_with_its_two_ends_study_and_patient() {
    let root = parse(&message(&record(Kind::Transfer, Some(whose())), End::Receiver));
    let event = root.one("EventIdentification");
    assert_eq!(event.one("EventID").attribute("csd-code"), Some("110104"));
    assert_eq!(event.attribute("EventActionCode"), Some("C"));
    let roles: Vec<_> = root
        .all("ActiveParticipant")
        .map(|p| (p.attribute("UserID").unwrap(), p.one("RoleIDCode").attribute("csd-code").unwrap()))
        .collect();
    assert_eq!(roles, [("aaaa bbbb", "110152"), ("cccc dddd", "110153")]);
    let objects: Vec<_> = root.all("ParticipantObjectIdentification").collect();
    assert_eq!(objects[0].attribute("ParticipantObjectID"), Some("1.2.3"));
    assert_eq!(objects[0].one("ParticipantObjectIDTypeCode").attribute("csd-code"), Some("110180"));
    let described = objects[0].one("ParticipantObjectDescription");
    assert_eq!(described.one("Accession").attribute("Number"), Some("ACC1"));
    assert_eq!(described.one("SOPClass").one("Instance").attribute("UID"), Some("1.2.3.4.5"));
    assert_eq!(objects[1].attribute("ParticipantObjectID"), Some("4711"));
    assert_eq!(objects[1].one("ParticipantObjectName").text, "MÜLLER^<ANNA>");

    let shut = message(&record(Kind::Transfer, None), End::Receiver);
    assert!(!shut.contains("4711") && !shut.contains("1.2.3"), "{shut}");
}
