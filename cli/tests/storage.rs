//! `latentwire storage`: a receiver's images under a new key, whatever cuts the rotation off.

mod support;

use std::{fs, os::unix::fs::PermissionsExt, process::Stdio, thread, time::Duration};

use latentwire_service::keys::KeySource;
use latentwire_service::sealing::at_rest::StorageKey;
use latentwire_service::storage_key::{load, staged_path};
use latentwire_storage::{ImageStore, NewImage, StorageError};
use support::{Folder, fields, latentwire, run};

const IMAGES: u8 = 40;

fn key(folder: &Folder, name: &str) -> StorageKey {
    load(&folder.path(name), KeySource::File).expect("a whole key")
}

/// A data folder of some images, and its key beside it.
fn filled() -> Folder {
    let folder = Folder::new();
    run(&["storage", "generate", "--output", &folder.text("data.storage.key")], 0);
    let images = ImageStore::open(&folder.path("data"), key(&folder, "data.storage.key")).expect("opened");
    for number in 0..IMAGES {
        let new = NewImage {
            image_id: [number + 1; 16],
            transfer_id: [number + 1; 16],
            peer: "clinic-a".to_owned(),
            study_group: String::new(),
            created_ms: 0,
            summary: vec![number],
            attributes: vec![number; 100],
        };
        images.store(&new, &[number; 1000]).expect("stored");
    }
    folder
}

/// Opens the folder as receiver-svc does: with the key in force, or else with the one that a rotation has staged.
#[track_caller]
fn check_whole(folder: &Folder) {
    let data = folder.path("data");
    let images = match ImageStore::open(&data, key(folder, "data.storage.key")) {
        Err(StorageError::WrongKey { .. }) => {
            let staged = staged_path(&folder.path("data.storage.key"));
            ImageStore::open(&data, load(&staged, KeySource::File).expect("the staged key"))
        }
        opened => opened,
    };
    let images = images.expect("under one of the two keys");
    for number in 0..IMAGES {
        let opened = images.open_object(&[number + 1; 16]).expect("opened");
        assert_eq!(opened.as_slice(), [number; 1000]);
        assert_eq!(images.find(&[number + 1; 16]).expect("found").attributes, [number; 100]);
    }
}

fn rotate(folder: &Folder, extra: &[&str], exit: i32) -> support::Ran {
    let data = folder.text("data");
    run(&[&["storage", "rotate", "--data", &data], extra].concat(), exit)
}

#[test]
fn a_rotation_replaces_the_key_and_keeps_the_old_one() {
    let folder = filled();
    let before = key(&folder, "data.storage.key").id();
    let done = rotate(&folder, &["--json"], 0).object();
    assert_eq!(
        fields(&done),
        ["already", "images", "key_file", "new_key_id", "old_key_id", "retired_file", "tombstones"]
    );
    assert_eq!((done["images"].as_u64(), done["already"].as_bool()), (Some(IMAGES.into()), Some(false)));
    let after = key(&folder, "data.storage.key").id();
    assert_eq!(
        (done["old_key_id"].as_str(), done["new_key_id"].as_str()),
        (Some(&*before.to_string()), Some(&*after.to_string()))
    );
    let retired = done["retired_file"].as_str().expect("a file");
    assert_eq!(load(retired.as_ref(), KeySource::File).expect("kept").id(), before);
    assert_eq!(fs::metadata(retired).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(!folder.path("data.storage.key.next").exists());
    check_whole(&folder);
    let text = rotate(&folder, &[], 0).out;
    assert!(text.contains("40 images") && text.contains("Start receiver-svc now"), "{text}");
    check_whole(&folder);
}

#[test]
fn a_key_of_the_administrators_stays_where_it_is() {
    let folder = filled();
    let (mounted, next) = (folder.text("data.storage.key"), folder.text("next.key"));
    let without = rotate(&folder, &["--storage-key", &mounted, "--storage-key-source", "mounted"], 2).err;
    assert!(without.contains("--next"), "{without}");
    run(&["storage", "generate", "--output", &next], 0);
    let arguments = ["--storage-key", &mounted, "--storage-key-source", "mounted", "--next", &next];
    assert!(rotate(&folder, &arguments, 0).out.contains("Put the new key where receiver-svc reads it"));
    assert!(rotate(&folder, &arguments, 0).out.contains("An earlier run"));
    assert_ne!(key(&folder, "data.storage.key").id(), key(&folder, "next.key").id());
    ImageStore::open(&folder.path("data"), key(&folder, "next.key")).expect("under the new key");
}

#[test]
fn a_running_service_a_foreign_key_and_no_folder_are_refused_by_name() {
    let folder = filled();
    let running = ImageStore::open(&folder.path("data"), key(&folder, "data.storage.key")).expect("opened");
    let refused = rotate(&folder, &[], 4).err;
    assert!(refused.contains("STORAGE_IN_USE") && refused.contains("stop receiver-svc"), "{refused}");
    drop(running);
    let foreign = folder.text("foreign.key");
    run(&["storage", "generate", "--output", &foreign], 0);
    let refused = rotate(&folder, &["--storage-key", &foreign], 4).err;
    assert!(refused.contains("is under storage key"), "{refused}");
    let nowhere = folder.text("nowhere");
    let refused = run(&["storage", "rotate", "--data", &nowhere, "--storage-key", &foreign], 4).err;
    assert!(refused.contains("holds no catalogue"), "{refused}");
    let taken = run(&["storage", "generate", "--output", &foreign], 4).err;
    assert!(taken.contains("exists already"), "{taken}");
    check_whole(&folder);
}

/// However early or late the kill comes.
#[test]
fn a_rotation_that_is_killed_anywhere_leaves_a_whole_folder_and_can_go_on() {
    let folder = filled();
    let first = key(&folder, "data.storage.key").id();
    let (mut cuts, mut staged) = (0, 0);
    for round in 0..40_u64 {
        let mut child = latentwire()
            .args(["storage", "rotate", "--data", &folder.text("data")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("latentwire runs");
        thread::sleep(Duration::from_micros(700 * round));
        cuts += u32::from(child.try_wait().expect("a child can be waited for").is_none());
        // It may end between the two calls.
        let _ = child.kill();
        let _ended = child.wait().expect("a child can be waited for");
        staged += u32::from(folder.path("data.storage.key.next").exists());
        check_whole(&folder);
    }
    assert!(cuts > 0 && staged > 0, "nothing was tried: {cuts} cut, {staged} staged");
    rotate(&folder, &[], 0);
    check_whole(&folder);
    assert!(!folder.path("data.storage.key.next").exists());
    let retired = folder.names().into_iter().filter(|name| name.contains(".retired-"));
    let mut kept: Vec<_> = retired.map(|name| key(&folder, &name).id()).collect();
    assert!(kept.contains(&first), "the first key is kept");
    let all = kept.len();
    kept.sort_unstable();
    kept.dedup();
    assert_eq!(kept.len(), all, "no key is kept twice");
}
