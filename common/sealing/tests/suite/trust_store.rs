//! The trust store: strict parsing, round trips, validity, rotation, revocation.

use latentwire_sealing::{
    CryptoError, Form, PeerRefusal, Role, SecretKey, Standing, TrustEntry, TrustStore, WireReason,
};
use time::Duration;

use crate::support::{now, system_rng};

fn sender() -> latentwire_sealing::PublicKey {
    *SecretKey::generate(Role::Sender, &mut system_rng()).public_key()
}

fn refusal(result: Result<&TrustEntry, CryptoError>) -> Option<PeerRefusal> {
    match result {
        Ok(_) => None,
        Err(error) => {
            assert_eq!(
                error.wire_reason(),
                WireReason::PeerNotAllowed,
                "all refusals look alike on the wire"
            );
            match error {
                CryptoError::PeerNotAllowed { why, .. } => Some(why),
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn text_round_trips() {
    let mut store = TrustStore::default();
    let mut full = TrustEntry::new("st-elsewhere.radiology_2", sender());
    full.not_before = Some(now() - Duration::days(1));
    full.not_after = Some(now() + Duration::days(365));
    full.revoked_at = Some(now() + Duration::hours(1));
    full.allowed_models = Some(vec!["rd-fundus".into(), "ae224-chest".into()]);
    full.allowed_forms = Some(vec![Form::Latent, Form::Exact]);
    full.max_bytes = Some(1 << 40);
    store.add(full).expect("a fresh key");
    store.add(TrustEntry::new("plain", sender())).expect("a fresh key");
    let text = store.to_toml();
    assert_eq!(TrustStore::parse(&text).expect("our own text"), store, "{text}");
    assert_eq!(TrustStore::parse("").expect("an empty store"), TrustStore::default());
    assert_eq!(TrustStore::parse(&TrustStore::default().to_toml()).expect("empty"), TrustStore::default());
}

#[test]
fn validity_is_checked_against_now() {
    let key = sender();
    let mut entry = TrustEntry::new("clinic", key);
    entry.not_before = Some(now());
    entry.not_after = Some(now() + Duration::days(10));
    entry.revoked_at = Some(now() + Duration::days(5));
    let mut store = TrustStore::default();
    store.add(entry).expect("a fresh key");
    let second = Duration::seconds(1);
    let at = |moment| refusal(store.check(&key, Role::Sender, moment));
    assert_eq!(at(now() - second), Some(PeerRefusal::NotYetValid));
    assert_eq!(at(now()), None);
    assert_eq!(at(now() + Duration::days(5) - second), None);
    assert_eq!(at(now() + Duration::days(5)), Some(PeerRefusal::Revoked));
    assert_eq!(refusal(store.check(&key, Role::Receiver, now())), Some(PeerRefusal::Role));
    assert_eq!(refusal(store.check(&sender(), Role::Sender, now())), Some(PeerRefusal::Unknown));

    let late = sender();
    let mut entry = TrustEntry::new("late", late);
    entry.not_after = Some(now());
    store.add(entry).expect("a fresh key");
    assert_eq!(refusal(store.check(&late, Role::Sender, now())), Some(PeerRefusal::Expired));
    assert_eq!(refusal(store.check(&late, Role::Sender, now() - second)), None);
}

#[test]
fn two_live_keys_for_rotation_and_no_third() {
    let (old, new, third) = (sender(), sender(), sender());
    let mut store = TrustStore::default();
    store.add(TrustEntry::new("clinic", old)).expect("first");
    store.add(TrustEntry::new("clinic", new)).expect("second, to rotate");
    assert!(store.add(TrustEntry::new("clinic", third)).is_err());
    assert_eq!(store.check(&old, Role::Sender, now()).expect("live").name, "clinic");
    assert_eq!(store.check(&new, Role::Sender, now()).expect("live").name, "clinic");
    assert_eq!(store.revoke("clinic", now()), 2);
    store.add(TrustEntry::new("clinic", third)).expect("the others are revoked");
    assert_eq!(refusal(store.check(&old, Role::Sender, now())), Some(PeerRefusal::Revoked));
    assert_eq!(store.named("clinic").count(), 3);
    assert_eq!(store.remove("clinic"), 3);
    assert_eq!(store.remove("clinic"), 0);
    assert!(store.entries().is_empty());
}

#[test]
fn one_key_of_two_is_revoked_and_a_revocation_is_never_put_off() {
    let (old, new) = (sender(), sender());
    let mut store = TrustStore::default();
    store.add(TrustEntry::new("clinic", old)).expect("first");
    store.add(TrustEntry::new("clinic", new)).expect("second, to rotate");
    let soon = now() + Duration::days(7);
    assert!(store.revoke_key(&old, soon));
    assert_eq!(refusal(store.check(&old, Role::Sender, now())), None, "the overlap lasts until then");
    assert_eq!(refusal(store.check(&old, Role::Sender, soon)), Some(PeerRefusal::Revoked));
    assert!(!store.revoke_key(&old, soon + Duration::days(1)), "not put off");
    assert!(store.revoke_key(&old, now()), "brought forward");
    assert_eq!(refusal(store.check(&old, Role::Sender, now())), Some(PeerRefusal::Revoked));
    assert_eq!(refusal(store.check(&new, Role::Sender, soon)), None, "the other key stands");
    assert!(!store.revoke_key(&sender(), now()), "a key that is not here");
    assert_eq!(store.remove_key(&old).map(|entry| entry.key), Some(old));
    assert_eq!(store.remove_key(&old), None);
    assert_eq!(store.entries().len(), 1);
}

#[test]
fn standing_is_what_the_check_says() {
    let mut entry = TrustEntry::new("clinic", sender());
    entry.not_before = Some(now());
    entry.not_after = Some(now() + Duration::days(2));
    let day = Duration::days(1);
    assert_eq!(entry.standing(now() - day), Standing::NotYetValid);
    assert_eq!(entry.standing(now() + day), Standing::Live);
    assert_eq!(entry.standing(now() + day * 2), Standing::Expired);
    entry.revoked_at = Some(now() + day);
    assert_eq!(entry.standing(now() + day), Standing::Revoked);
}

#[test]
fn doubtful_entries_are_refused() {
    let key = sender();
    let mut store = TrustStore::default();
    store.add(TrustEntry::new("clinic", key)).expect("a fresh key");
    assert!(store.add(TrustEntry::new("other", key)).is_err(), "one key, two names");
    let receiver = *SecretKey::generate(Role::Receiver, &mut system_rng()).public_key();
    assert!(store.add(TrustEntry::new("clinic", receiver)).is_err(), "one name, two roles");
    let long = "x".repeat(64);
    for name in ["", "-clinic", "Clinic", "clinic room", "../etc", "clínic", "a\n", long.as_str()] {
        assert!(store.add(TrustEntry::new(name, sender())).is_err(), "{name:?}");
    }
    let mut backwards = TrustEntry::new("b", sender());
    (backwards.not_before, backwards.not_after) = (Some(now()), Some(now()));
    assert!(store.add(backwards).is_err(), "empty validity");
    let mut huge = TrustEntry::new("c", sender());
    huge.max_bytes = Some(u64::MAX);
    assert!(store.add(huge).is_err(), "no TOML integer");
    assert_eq!(store.entries().len(), 1);
}

#[test]
fn moments_outside_toml_are_drawn_in() {
    let mut entry = TrustEntry::new("clinic", sender());
    entry.not_after = Some(time::PrimitiveDateTime::MAX.assume_utc());
    entry.not_before = Some(time::PrimitiveDateTime::MIN.assume_utc());
    let mut store = TrustStore::default();
    store.add(entry).expect("a fresh key");
    assert_eq!(store.revoke("clinic", time::PrimitiveDateTime::MAX.assume_utc()), 1);
    assert_eq!(TrustStore::parse(&store.to_toml()).expect("our own text"), store);
}

#[test]
fn parser_is_strict() {
    let key = sender().to_string();
    let secret = SecretKey::generate(Role::Sender, &mut system_rng()).to_text();
    let peer = |more: &str| {
        format!("[[peer]]\nname = \"clinic\"\npublic_key = \"{key}\"\nrole = \"sender\"\n{more}\n")
    };
    TrustStore::parse(&peer("")).expect("the smallest entry");
    let bad = [
        peer("unknown = 1"),
        peer("max_bytes = -1"),
        peer("max_bytes = 1.5"),
        peer("allowed_forms = [\"latant\"]"),
        peer("allowed_models = \"rd-fundus\""),
        peer("not_after = 2027-01-01"),
        peer("not_after = 2027-01-01T00:00:00"),
        peer("not_after = \"2027-01-01T00:00:00Z\""),
        peer("name = \"twice\""),
        peer("").repeat(2),
        peer("").replace("sender", "receiver"),
        peer("").replace("sender", "Sender"),
        peer("").replace("[[peer]]", "[peer]"),
        peer("").replace("[[peer]]", "[[peers]]"),
        peer("").replace(&key, secret.as_str()),
        peer("").replace(&key, &key[..key.len() - 1]),
        format!("version = 2\n{}", peer("")),
        "[[peer]]\n".to_owned(),
        "not toml".to_owned(),
        "\u{0}".to_owned(),
    ];
    for text in bad {
        let error = TrustStore::parse(&text).expect_err(&text);
        assert!(matches!(error, CryptoError::TrustStore(_)), "{error}");
        assert!(!error.to_string().contains(&secret[25..45]));
    }
}

#[test]
fn allowances() {
    let mut entry = TrustEntry::new("clinic", sender());
    assert!(entry.allows_model("any") && entry.allows_form(Form::Bounded));
    entry.allowed_models = Some(vec!["rd-fundus".into()]);
    entry.allowed_forms = Some(vec![Form::Exact]);
    assert!(entry.allows_model("rd-fundus") && !entry.allows_model("rd-chest"));
    assert!(entry.allows_form(Form::Exact) && !entry.allows_form(Form::Latent));
    entry.allowed_models = Some(Vec::new());
    assert!(!entry.allows_model("rd-fundus"));
}
