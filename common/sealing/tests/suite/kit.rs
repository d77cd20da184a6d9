//! The attack kit: one scenario a file in `tests/kit/scenarios`, frozen bytes made by an independent implementation. Each is replayed
//! to its end; what becomes of it is the reason that the file expects, at the message that it expects.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use latentwire_sealing::at_rest::{self, DataKey, StorageKey};
use latentwire_sealing::{
    Acceptance, ControlKind, CryptoError, Established, Hello, MetaOpener, PaddingPolicy, PublicKey,
    Responder, SecretKey, SegmentOpener, TrustEntry, TrustStore, padding,
};

use crate::support::{ScriptedRng, now, sha256};

/// Fewer would be a kit that lost its files.
const LEAST_SCENARIOS: usize = 200;

/// One file: fields, and behind an empty line what is tried.
struct Scenario {
    name: String,
    fields: HashMap<String, String>,
    body: String,
}

impl Scenario {
    fn read(path: &Path) -> Self {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let text = fs::read_to_string(path).expect("a scenario is text");
        let (head, body) = text.split_once("\n\n").expect("an empty line ends the fields");
        let field = |line: &str| line.split_once(": ").map(|(key, value)| (key.to_owned(), value.to_owned()));
        let fields = head.lines().map(|line| field(line).expect("NAME: VALUE")).collect();
        Self { name, fields, body: body.strip_suffix('\n').unwrap_or(body).to_owned() }
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("{} has no field {name}", self.name))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.field(name)).expect("hex")
    }

    fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().expect("the length of this field")
    }

    /// The one line of a scenario that has no more.
    fn only(&self, word: &str) -> Vec<u8> {
        let rest = self.body.strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
        hex::decode(rest.expect("the scenario's own word")).expect("hex")
    }

    /// What becomes of it, in the words of `expect`.
    fn outcome(&self) -> String {
        let refused = |_| "refused".to_owned();
        let opens = |()| "opens".to_owned();
        match self.field("kind") {
            "session" => self.session(),
            "object" => {
                let key = DataKey::generate(&mut ScriptedRng::new(&[&self.bytes("data_key")]));
                let opened = at_rest::open(&key, &self.array("object_id"), &self.only("object"));
                opened.map_or_else(refused, |text| format!("opens {}", hex::encode(sha256(&text))))
            }
            "wrapped" => {
                let key = StorageKey::from_text(self.field("storage_key")).expect("the kit's own key");
                let found = key.unwrap(&self.array("object_id"), &self.only("wrapped"));
                found.map(drop).map_or_else(refused, opens)
            }
            "secret-key" => SecretKey::from_text(&self.body).map(drop).map_or_else(refused, opens),
            "public-key" => PublicKey::from_text(&self.body).map(drop).map_or_else(refused, opens),
            "trust-store" => TrustStore::parse(&self.body).map(drop).map_or_else(refused, opens),
            other => panic!("{}: kind {other:?} is not known", self.name),
        }
    }

    fn session(&self) -> String {
        let mut receiver = Receiver::new(self);
        for (number, line) in self.body.lines().enumerate() {
            if let Err(error) = receiver.take(line) {
                return format!("{} at {}", error.wire_reason(), number + 1);
            }
        }
        if receiver.is_delivered { "delivered".to_owned() } else { "nothing".to_owned() }
    }
}

/// A receiver that is fed a scenario line by line.
struct Receiver<'a> {
    scenario: &'a Scenario,
    identity: SecretKey,
    trust: TrustStore,
    rng: ScriptedRng,
    established: Option<Established>,
    transfer: Option<Transfer>,
    is_delivered: bool,
}

struct Transfer {
    padding: PaddingPolicy,
    meta: Option<MetaOpener>,
    segments: SegmentOpener,
    padded: Vec<u8>,
}

impl<'a> Receiver<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut trust = TrustStore::default();
        let key = PublicKey::from_text(scenario.field("trusts")).expect("the kit's own key");
        trust.add(TrustEntry::new("kit", key)).expect("one key");
        Self {
            scenario,
            identity: SecretKey::from_text(scenario.field("receiver")).expect("the kit's own key"),
            trust,
            rng: ScriptedRng::new(&[&scenario.bytes("draws")]),
            established: None,
            transfer: None,
            is_delivered: false,
        }
    }

    fn take(&mut self, line: &str) -> Result<(), CryptoError> {
        let words: Vec<&str> = line.split(' ').collect();
        let bytes = |place: usize| hex::decode(words[place]).expect("hex");
        let number = |place: usize| words[place].parse::<u32>().expect("a number");
        match words[0] {
            "hello" => {
                let hello = Hello { version: number(1), suite: number(2), noise: bytes(3) };
                let responder = Responder::read(&self.identity, &hello, &mut self.rng)?;
                let (established, _, _) = responder.authorise(&self.trust, now())?.reply(&mut self.rng)?;
                self.established = Some(established);
            }
            "open" => {
                let established = self.established.as_mut().expect("a hello comes first");
                let open = established.opener.open(ControlKind::Open, &bytes(1))?;
                let Acceptance { body, meta, segments, .. } = established.secrets.accept(&open)?;
                self.is_delivered = false;
                self.transfer =
                    Some(Transfer { padding: body.padding, meta: Some(meta), segments, padded: Vec::new() });
            }
            "meta" => {
                let meta = self.transfer.as_mut().and_then(|transfer| transfer.meta.take());
                assert_eq!(*meta.expect("one record behind each open").open(&bytes(1))?, *b"meta record");
            }
            "segment" => {
                let transfer = self.transfer.as_mut().expect("an open comes first");
                let mut buffer = bytes(2);
                transfer.segments.open(words[1] == "last", &mut buffer)?;
                transfer.padded.append(&mut buffer);
            }
            "end" => {
                let Transfer { padding, segments, padded, .. } =
                    self.transfer.take().expect("an open comes first");
                let complete = segments.finish()?;
                let digest = bytes(2).try_into().expect("32 bytes");
                match padding {
                    PaddingPolicy::Rows => {
                        padding::join_rows(complete, &bytes(3), &padded, number(1).into(), &digest)?
                    }
                    _ => padding::unpad(complete, padded, number(1).into(), &digest)?,
                };
                self.is_delivered = true;
            }
            other => panic!("{}: {other:?} is no message", self.scenario.name),
        }
        Ok(())
    }
}

#[test]
fn every_scenario_ends_as_it_must() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kit/scenarios");
    let files = fs::read_dir(folder).expect("the kit is there");
    let scenarios: Vec<_> = files.map(|file| Scenario::read(&file.expect("a file").path())).collect();
    assert!(scenarios.len() >= LEAST_SCENARIOS, "{} scenarios", scenarios.len());
    let wrong: Vec<_> = scenarios
        .iter()
        .map(|scenario| (scenario, scenario.outcome()))
        .filter(|(scenario, outcome)| scenario.field("expect") != outcome)
        .map(|(scenario, outcome)| {
            format!("{}: {} expected, {outcome}", scenario.name, scenario.field("expect"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A kit that refuses everything would find nothing.
    let honest = scenarios.iter().filter(|scenario| scenario.name.contains("honest")).count();
    assert!(honest >= 10, "{honest} honest scenarios");
}
