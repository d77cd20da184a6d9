//! Our own frozen vectors, made by the independent Python implementation `tests/vectors/generate.py`.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use latentwire_sealing::at_rest::{self, DataKey, StorageKey};
use latentwire_sealing::key_schedule::{Context, Prk};
use latentwire_sealing::{
    ChaosBytes, ControlKind, Established, Form, ImageSecret, Initiator, InnerLayer, OpenBody, PaddingPolicy,
    PublicKey, Responder, Role, SecretKey, TrustEntry, TrustStore, padding,
};
use serde_json::Value;

use crate::support::{ScriptedRng, now, sha256};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/latentwire-v1.json")).expect("a vector file")
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("hex")).expect("hex")
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().expect("the length of this field")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

/// Plaintext that the Python side builds alike: SHA-256(tag ‖ u32be(i)) blocks.
fn pattern(length: usize, tag: &[u8]) -> Vec<u8> {
    let blocks = (0..=(length / 32) as u32).flat_map(|i| sha256(&[tag, &i.to_be_bytes()].concat()));
    blocks.take(length).collect()
}

/// Both identities, from their texts.
fn identities(vectors: &Value) -> (SecretKey, SecretKey) {
    let text = |i: usize| vectors["identities"][i]["secret_text"].as_str().expect("a text");
    (
        SecretKey::from_text(text(0)).expect("a frozen key"),
        SecretKey::from_text(text(1)).expect("a frozen key"),
    )
}

/// The frozen session, after its messages were compared byte for byte.
fn session(vectors: &Value) -> (Established, Established) {
    let (sender, receiver) = identities(vectors);
    let shake = &vectors["handshake"];
    let field = |name: &str| bytes(&shake[name]);
    let mut trust = TrustStore::default();
    trust.add(TrustEntry::new("frozen", *sender.public_key())).expect("one key");

    let mut rng = ScriptedRng::new(&[&field("kem_seed"), &field("initiator_ephemeral")]);
    let (initiator, hello) = Initiator::start(&sender, receiver.public_key(), &mut rng).expect("roles fit");
    assert!(rng.is_spent());
    assert_eq!(hello.noise, field("message_1"));

    let mut rng = ScriptedRng::new(&[&field("responder_ephemeral"), &field("kem_message")]);
    let responder = Responder::read(&receiver, &hello, &mut rng).expect("honest hello");
    let responder = responder.authorise(&trust, now()).expect("pinned");
    let (there, reply, _) = responder.reply(&mut rng).expect("honest hello");
    assert!(rng.is_spent());
    assert_eq!(reply, field("message_2"));

    let here = initiator.finish(&reply).expect("honest reply");
    assert_eq!(here.secrets.handshake_hash().as_slice(), field("h"));
    assert_eq!(there.secrets.handshake_hash().as_slice(), field("h"));
    (here, there)
}

#[test]
fn identity_texts() {
    let vectors = vectors();
    for identity in vectors["identities"].as_array().expect("a list") {
        let role = Role::from_code(number(&identity["role"]) as u8).expect("a role");
        let secret_text = identity["secret_text"].as_str().expect("a text");
        let secret = SecretKey::from_text(secret_text).expect("a frozen key");
        assert_eq!(secret.to_text().as_str(), secret_text);
        assert_eq!(secret.role(), role);
        let public = secret.public_key();
        assert_eq!(public.to_string(), identity["public_text"].as_str().expect("a text"));
        assert_eq!(PublicKey::from_text(&public.to_string()).expect("a frozen key"), *public);
        assert_eq!(public.as_bytes(), &array(&identity["public"]));
        assert_eq!(public.id(), array(&identity["receiver_id"]));
        assert_eq!(public.fingerprint().0, array(&identity["fingerprint"]));
    }
}

#[test]
fn key_schedule() {
    let vectors = vectors();
    let (h, ss_pq) = (bytes(&vectors["handshake"]["h"]), bytes(&vectors["handshake"]["ss_pq"]));
    for case in vectors["transfers"].as_array().expect("a list") {
        let context = Context::of_open_body(&bytes(&case["open_body"]));
        assert_eq!(context.as_bytes(), &array(&case["ctx"]));
        let keys = Prk::extract(&h, &[&ss_pq, &bytes(&case["image_secret"])]).bind(context);
        assert_eq!(keys.commitment(), array(&case["commit"]));
        assert_eq!(keys.content_tag(&array(&case["source_sha256"])), array(&case["content_tag"]));
        assert_eq!(*keys.meta_key(), array(&case["meta_key"]));
        assert_eq!(keys.nonce_prefix(), array(&case["prefix"]));
        let rows: Vec<u8> = (0..=255).flat_map(|row| *keys.row_key(row)).collect();
        assert_eq!(sha256(&rows), array(&case["rows_sha256"]));
        assert_eq!(*keys.row_key(255), array(&case["row_255"]));
        assert_eq!(*keys.chaos_seed(&array(&case["coded_sha256"])), array(&case["chaos_seed"]));
        assert_eq!(keys.receipt_tag(&array(&case["coded_sha256"])), array(&case["receipt_tag"]));
    }
}

#[test]
fn whole_transfers() {
    let vectors = vectors();
    let (mut here, mut there) = session(&vectors);
    for case in vectors["transfers"].as_array().expect("a list") {
        let name = case["name"].as_str().expect("a name");
        let coded = pattern(number(&case["coded_bytes"]) as usize, name.as_bytes());
        let policy = match number(&case["padding"]) {
            1 => PaddingPolicy::Padme,
            2 => PaddingPolicy::Fixed,
            3 => PaddingPolicy::None,
            _ => PaddingPolicy::Rows,
        };
        let chaos = number(&case["inner_layer"]) == 2;
        let (head, image) = coded.split_at(number(&case["head_bytes"]) as usize);
        let body = OpenBody {
            slot: number(&case["slot"]) as u32,
            transfer_id: array(&case["transfer_id"]),
            form: if number(&case["form"]) == 1 { Form::Latent } else { Form::Exact },
            decoder_digest: array(&case["decoder_digest"]),
            segment_bytes: number(&case["segment_bytes"]) as u32,
            padded_bytes: padding::padded_length(policy, image.len() as u64).expect("small"),
            padding: policy,
            inner_layer: if chaos { InnerLayer::Chaos4 } else { InnerLayer::None },
        };
        assert_eq!(body.padded_bytes, number(&case["padded_bytes"]), "{name}");
        let secret = ImageSecret::generate(&mut ScriptedRng::new(&[&bytes(&case["image_secret"])]));
        let mut proposal =
            here.secrets.propose(&body, secret, &array(&case["source_sha256"])).expect("within bounds");
        let message = here.sealer.seal(ControlKind::Open, &proposal.open).expect("short");
        assert_eq!(message, bytes(&case["open_message"]), "{name}");

        let open = there.opener.open(ControlKind::Open, &message).expect("in order");
        let mut accepted = there.secrets.accept(&open).expect("the same session");
        assert_eq!(accepted.body, body, "{name}");
        assert_eq!(accepted.content_tag, array(&case["content_tag"]), "{name}");

        let meta = proposal.meta.seal(&bytes(&case["meta_record"])).expect("short");
        assert_eq!(meta, bytes(&case["meta_sealed"]), "{name}");
        assert_eq!(*accepted.meta.open(&meta).expect("sealed"), bytes(&case["meta_record"]), "{name}");

        let coded_sha256 = array(&case["coded_sha256"]);
        let scrambled = ChaosBytes::scramble(coded.clone(), &proposal.tags, &coded_sha256);
        let padded = padding::pad(policy, image.to_vec()).expect("small");
        let (mut all, mut opened, mut count) = (Vec::new(), Vec::new(), 0);
        let mut rest = padded.as_slice();
        while let Some(length) = proposal.segments.next_plaintext_bytes() {
            let (piece, tail) = rest.split_at(length);
            let mut buffer = piece.to_vec();
            let position = if chaos {
                let (segment, position) = proposal.segments.seal_chaos(&scrambled).expect("a segment");
                buffer = segment;
                position
            } else {
                proposal.segments.seal(&mut buffer).expect("the length asked for")
            };
            all.extend_from_slice(&buffer);
            assert_eq!(accepted.segments.open(position.last, &mut buffer).expect("sealed"), position);
            opened.extend_from_slice(&buffer);
            (rest, count) = (tail, count + 1);
        }
        proposal.segments.finish().expect("all sealed");
        assert_eq!(count, number(&case["segment_count"]), "{name}");
        assert_eq!(sha256(&all), array(&case["segments_sha256"]), "{name}");
        assert!(all.starts_with(&bytes(&case["segment_0"])), "{name}");
        assert!(all.ends_with(&bytes(&case["segment_last"])), "{name}");

        let segment = body.segment_bytes as usize;
        let first = sha256(&opened[..segment.min(opened.len())]);
        assert_eq!(proposal.tags.resume(&first), array(&case["resume_tag_1"]), "{name}");
        assert_eq!(accepted.tags.receipt(&sha256(&coded)), array(&case["receipt_tag"]), "{name}");

        let complete = accepted.segments.finish().expect("the last segment came");
        let length = coded.len() as u64;
        let undone = if chaos {
            padding::unpad_chaos(complete, opened, length, &coded_sha256, &accepted.tags)
        } else if policy == PaddingPolicy::Rows {
            padding::join_rows(complete, head, &opened, length, &coded_sha256)
        } else {
            padding::unpad(complete, opened, length, &coded_sha256)
        };
        assert_eq!(undone.expect("honest padding"), coded, "{name}");
    }
    let kinds = [ControlKind::OpenAck, ControlKind::NeedExact, ControlKind::Receipt, ControlKind::Receipt];
    for (kind, case) in kinds.into_iter().zip(vectors["control_to_initiator"].as_array().expect("a list")) {
        assert_eq!(kind as u64, number(&case["kind"]));
        let message = there.sealer.seal(kind, &bytes(&case["plaintext"])).expect("short");
        assert_eq!(message, bytes(&case["message"]));
        assert_eq!(*here.opener.open(kind, &message).expect("in order"), bytes(&case["plaintext"]));
    }
}

/// The 256 row keys of Alslman 2022: row i under key i mod 256, its index in the nonce, opened here with AES-GCM by hand.
#[test]
fn rows_256_apart_share_a_key_and_no_nonce() {
    let vectors = vectors();
    let (here, _) = session(&vectors);
    let case = vectors["transfers"].as_array().expect("a list").last().expect("the rows");
    assert_eq!(number(&case["padding"]), 4);
    let (h, ss_pq) = (bytes(&vectors["handshake"]["h"]), bytes(&vectors["handshake"]["ss_pq"]));
    let context = Context::of_open_body(&bytes(&case["open_body"]));
    let keys = Prk::extract(&h, &[&ss_pq, &bytes(&case["image_secret"])]).bind(context);

    let name = case["name"].as_str().expect("a name");
    let coded = pattern(number(&case["coded_bytes"]) as usize, name.as_bytes());
    let rows: Vec<&[u8]> = coded[number(&case["head_bytes"]) as usize..].chunks(24).collect();
    assert_eq!(rows.len(), 600);
    let body = OpenBody {
        slot: number(&case["slot"]) as u32,
        transfer_id: array(&case["transfer_id"]),
        form: Form::Latent,
        decoder_digest: array(&case["decoder_digest"]),
        segment_bytes: 24,
        padded_bytes: 600 * 24,
        padding: PaddingPolicy::Rows,
        inner_layer: InnerLayer::None,
    };
    let secret = ImageSecret::generate(&mut ScriptedRng::new(&[&bytes(&case["image_secret"])]));
    let mut proposal = here.secrets.propose(&body, secret, &[0; 32]).expect("within bounds");

    let open = |key: u8, index: usize, last: bool, sealed: &[u8]| {
        let mut nonce = [0_u8; 12];
        nonce[..7].copy_from_slice(&keys.nonce_prefix());
        nonce[7..11].copy_from_slice(&(index as u32).to_be_bytes());
        nonce[11] = last.into();
        let payload = Payload { msg: sealed, aad: context.as_bytes() };
        Aes256Gcm::new((&*keys.row_key(key)).into()).decrypt(&nonce.into(), payload).ok()
    };
    for (i, row) in rows.iter().enumerate() {
        let mut sealed = row.to_vec();
        proposal.segments.seal(&mut sealed).expect("the length asked for");
        let (key, last) = ((i % 256) as u8, i == 599);
        assert_eq!(open(key, i, last, &sealed).as_deref(), Some(*row), "row {i}");
        assert_eq!(open(key, (i + 256) % 600, last, &sealed), None, "row {i} under the nonce of another");
        assert_eq!(open(key.wrapping_add(1), i, last, &sealed), None, "row {i} under the next key");
    }
}

#[test]
fn padme() {
    for case in vectors()["padme"].as_array().expect("a list") {
        let (length, padded) = (number(&case[0]), number(&case[1]));
        assert_eq!(
            padding::padded_length(PaddingPolicy::Padme, length).expect("up to 1 GiB"),
            padded,
            "{length}"
        );
    }
}

#[test]
fn objects_at_rest() {
    let vectors = vectors();
    let case = &vectors["at_rest"];
    let field = |name: &str| bytes(&case[name]);
    let object_id: [u8; 16] = array(&case["object_id"]);
    let salt = |i: usize| bytes(&case["salts"][i]);

    let storage_key =
        StorageKey::from_text(case["storage_key_text"].as_str().expect("a text")).expect("frozen");
    assert_eq!(storage_key.to_text().as_str(), case["storage_key_text"].as_str().expect("a text"));
    assert_eq!(storage_key.id().0, array(&case["key_id"]));
    let data_key = DataKey::generate(&mut ScriptedRng::new(&[&field("data_key")]));

    for object in case["objects"].as_array().expect("a list") {
        let plaintext = pattern(number(&object["length"]) as usize, b"object");
        let sealed = at_rest::seal(&mut ScriptedRng::new(&[&salt(0)]), &data_key, &object_id, &plaintext)
            .expect("small");
        assert_eq!(sealed.len() as u64, number(&object["bytes"]));
        assert_eq!(at_rest::sealed_bytes(plaintext.len() as u64).expect("small"), number(&object["bytes"]));
        assert!(sealed.starts_with(&bytes(&object["head"])));
        assert_eq!(sha256(&sealed), array(&object["sha256"]));
        assert_eq!(*at_rest::open(&data_key, &object_id, &sealed).expect("sealed"), plaintext);
    }

    let wrapped = storage_key.wrap(&mut ScriptedRng::new(&[&salt(1)]), &object_id, &data_key);
    assert_eq!(wrapped, field("wrapped"));
    let record = storage_key.seal_record(&mut ScriptedRng::new(&[&salt(2)]), &object_id, &field("record"));
    assert_eq!(record, field("record_sealed"));
    assert_eq!(*storage_key.open_record(&object_id, &record).expect("sealed"), field("record"));
    let purpose = case["lookup_purpose"].as_str().expect("a text");
    let lookup = storage_key.first_lookup_key();
    assert_eq!(lookup.tag(purpose, &field("lookup_value")), array(&case["lookup_tag"]));
}
