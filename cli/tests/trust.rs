//! `latentwire trust`: revocation, removal, and what becomes of the file.

mod support;

use std::{fs, os::unix::fs::PermissionsExt, thread};

use serde_json::Value;
use support::{Folder, fields, run};

const FIELDS: [&str; 11] = [
    "allowed_forms",
    "allowed_models",
    "fingerprint",
    "max_bytes",
    "name",
    "not_after",
    "not_before",
    "public_key",
    "revoked_at",
    "role",
    "state",
];

struct Place {
    folder: Folder,
    store: String,
}

impl Place {
    /// Two keys of clinic-a and one of clinic-b.
    fn new() -> Self {
        let folder = Folder::new();
        let store = folder.text("trust.toml");
        for (name, key) in [("clinic-a", "old.key"), ("clinic-a", "new.key"), ("clinic-b", "other.key")] {
            let public = folder.key("sender", key) + ".pub";
            run(&["trust", "add", &store, "--name", name, "--key", &public], 0);
        }
        Self { folder, store }
    }

    fn fingerprint(&self, key: &str) -> String {
        let shown = run(&["keys", "show", "--json", &self.folder.text(key)], 0).object();
        shown["fingerprint"].as_str().expect("text").to_owned()
    }

    fn states(&self) -> Vec<String> {
        let state = |entry: Value| entry["state"].as_str().expect("text").to_owned();
        run(&["trust", "list", "--json", &self.store], 0).objects().into_iter().map(state).collect()
    }
}

#[test]
fn one_key_is_revoked_or_all_and_the_entries_stay() {
    let place = Place::new();
    let old = place.fingerprint("old.key");
    let beginning = old[..11].to_uppercase();
    let revoke =
        ["trust", "revoke", &place.store, "--name", "clinic-a", "--fingerprint", &beginning, "--json"];
    let entries = run(&revoke, 0).objects();
    assert_eq!(entries.len(), 3);
    for entry in &entries {
        assert_eq!(fields(entry), FIELDS);
        assert_eq!(entry["state"] == "revoked", entry["fingerprint"] == *old, "{entry}");
        assert_eq!(entry["revoked_at"].is_string(), entry["fingerprint"] == *old, "{entry}");
    }
    run(&["trust", "revoke", &place.store, "--name", "clinic-a"], 0);
    assert_eq!(place.states(), ["revoked", "revoked", "live"]);
    assert_eq!(run(&["trust", "list", "--quiet", &place.store], 0).out, "clinic-a\nclinic-b\n");

    let before = place.folder.read("trust.toml");
    let later =
        run(&["trust", "revoke", &place.store, "--name", "clinic-a", "--at", "2099-01-01T00:00:00Z"], 0);
    assert!(later.err.contains("nothing changed"), "{}", later.err);
    assert_eq!(place.folder.read("trust.toml"), before, "a revocation is never put off");
}

#[test]
fn a_revocation_can_wait_and_be_brought_forward() {
    let place = Place::new();
    let at = |moment: &str| {
        run(&["trust", "revoke", &place.store, "--name", "clinic-b", "--at", moment], 0);
        let entries = run(&["trust", "list", "--json", &place.store], 0).objects();
        let entry = entries.into_iter().find(|entry| entry["name"] == "clinic-b").expect("the entry");
        (entry["state"].as_str().expect("text").to_owned(), entry["revoked_at"].clone())
    };
    assert_eq!(at("2099-06-01T00:00:00Z"), ("live".to_owned(), "2099-06-01T00:00:00Z".into()));
    assert_eq!(at("2020-06-01T00:00:00Z"), ("revoked".to_owned(), "2020-06-01T00:00:00Z".into()));
}

#[test]
fn unknown_peers_short_fingerprints_and_broken_stores_change_nothing() {
    let place = Place::new();
    let before = place.folder.read("trust.toml");
    for command in ["revoke", "remove"] {
        let refused = run(&["trust", command, &place.store, "--name", "clinic-z"], 4).err;
        assert!(refused.contains("NOT_FOUND PEER_NOT_FOUND") && refused.contains("clinic-z"), "{refused}");
        let zeros = "0".repeat(40);
        let refused =
            run(&["trust", command, &place.store, "--name", "clinic-a", "--fingerprint", &zeros], 4).err;
        assert!(refused.contains("PEER_NOT_FOUND"), "{refused}");
        let refused =
            run(&["trust", command, &place.store, "--name", "clinic-a", "--fingerprint", "1a2b"], 2).err;
        assert!(refused.contains("8"), "{refused}");
        let broken = place.folder.write("broken.toml", "[[peer]\n");
        let refused = run(&["trust", command, &broken, "--name", "clinic-a"], 4).err;
        assert!(refused.contains("TRUST_STORE") && refused.contains("broken.toml"), "{refused}");
    }
    assert_eq!(place.folder.read("trust.toml"), before);
    assert_eq!(place.folder.read("broken.toml"), b"[[peer]\n");
    run(&["trust", "list", &place.folder.text("none.toml")], 4);
}

#[test]
fn a_store_keeps_its_permissions_and_loses_those_that_let_others_change_it() {
    let place = Place::new();
    let mode = || fs::metadata(&place.store).expect("the store").permissions().mode() & 0o7777;
    fs::set_permissions(&place.store, fs::Permissions::from_mode(0o600)).expect("permissions");
    run(&["trust", "revoke", &place.store, "--name", "clinic-b"], 0);
    assert_eq!(mode(), 0o600);
    run(&["trust", "remove", &place.store, "--name", "clinic-b"], 0);
    assert_eq!(place.states(), ["live", "live"]);
    assert!(place.folder.names().iter().all(|name| !name.contains(".part")), "{:?}", place.folder.names());
}

/// Between reading and writing, another's change would be lost: a revocation of all things.
#[test]
fn changes_at_the_same_time_are_all_kept() {
    let folder = Folder::new();
    let store = folder.text("trust.toml");
    let keys: Vec<_> = (0..8).map(|n| folder.key("sender", &format!("{n}.key")) + ".pub").collect();
    thread::scope(|scope| {
        for (n, key) in keys.iter().enumerate() {
            let store = &store;
            scope.spawn(move || {
                run(&["trust", "add", store, "--name", &format!("clinic-{n}"), "--key", key], 0)
            });
        }
    });
    assert_eq!(run(&["trust", "list", "--quiet", &store], 0).out.lines().count(), 8);
}
