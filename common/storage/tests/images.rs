//! What a data folder promises: durable, sealed, tidy after a crash, forgotten when deleted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use getrandom::{SysRng, rand_core::UnwrapErr};
use latentwire_sealing::at_rest::StorageKey;
use latentwire_storage::{ImageFilter, ImageStore, NewImage, StorageError};

const PEER: &str = "st-elsewhere";

fn new_key() -> (StorageKey, String) {
    let key = StorageKey::generate(&mut UnwrapErr(SysRng));
    let text = key.to_text().to_string();
    (key, text)
}

fn again(text: &str) -> StorageKey {
    StorageKey::from_text(text).expect("its own text")
}

fn image(number: u8, study_group: &str) -> NewImage {
    NewImage {
        image_id: [number; 16],
        transfer_id: [number | 0x80; 16],
        peer: PEER.to_owned(),
        study_group: study_group.to_owned(),
        created_ms: i64::from(number),
        summary: vec![1, number],
        attributes: vec![2, number],
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn objects(folder: &Path) -> Vec<PathBuf> {
    files(folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "lwo")).collect()
}

#[test]
fn what_is_stored_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, text) = new_key();
    let coded = vec![0x5a; 200_000];
    let stored = {
        let images = ImageStore::open(folder.path(), key).expect("opened");
        images.store(&image(1, "study"), &coded).expect("stored")
    };
    let images = ImageStore::open(folder.path(), again(&text)).expect("opened again");
    assert_eq!(images.find(&[1; 16]).expect("found"), stored);
    assert_eq!(images.find_by_transfer(&[0x81; 16]).expect("found"), stored);
    assert_eq!(images.open_object(&[1; 16]).expect("opened").as_slice(), coded);
    assert_eq!(images.known(PEER, &[0x81; 16]).expect("asked").expect("known").summary, [1, 1]);
    assert_eq!(images.known("another", &[0x81; 16]).expect("asked"), None);
    assert_eq!(images.stored_bytes(Some(PEER)).expect("summed"), stored.stored_bytes);
    assert_eq!(images.stored_bytes(Some("another")).expect("summed"), 0);
    images.check_writable().expect("writable");
}

#[test]
fn one_transfer_of_one_peer_is_stored_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = ImageStore::open(folder.path(), new_key().0).expect("opened");
    images.store(&image(1, ""), b"first").expect("stored");
    let second = NewImage { image_id: [9; 16], ..image(1, "") };
    assert!(matches!(images.store(&second, b"second"), Err(StorageError::Duplicate)));
    assert_eq!(objects(folder.path()).len(), 1, "nothing of the second is left");
    assert_eq!(images.open_object(&[1; 16]).expect("opened").as_slice(), b"first");
    let other_peer = NewImage { peer: "another".to_owned(), ..second };
    images.store(&other_peer, b"third").expect("the same id of another peer is another transfer");
}

#[test]
fn pages_are_newest_first_and_complete() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = ImageStore::open(folder.path(), new_key().0).expect("opened");
    for number in 1..=7 {
        images.store(&image(number, if number % 2 == 0 { "even" } else { "odd" }), b"coded").expect("stored");
    }
    let all = ImageFilter::default();
    let first = images.list(&all, None, 3).expect("listed");
    assert_eq!(first.images.iter().map(|image| image.image_id[0]).collect::<Vec<_>>(), [7, 6, 5]);
    let second = images.list(&all, first.next, 4).expect("listed");
    assert_eq!(second.images.iter().map(|image| image.image_id[0]).collect::<Vec<_>>(), [4, 3, 2, 1]);
    assert_eq!(second.next, None);
    let even = ImageFilter { study_group: "even".to_owned(), peer: PEER.to_owned() };
    let even = images.list(&even, None, 100).expect("listed");
    assert_eq!(even.images.iter().map(|image| image.image_id[0]).collect::<Vec<_>>(), [6, 4, 2]);
    let nobody = ImageFilter { peer: "nobody".to_owned(), ..ImageFilter::default() };
    assert!(images.list(&nobody, None, 100).expect("listed").images.is_empty());
}

#[test]
fn a_deleted_image_is_gone_and_its_transfer_stays_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = ImageStore::open(folder.path(), new_key().0).expect("opened");
    images.store(&image(1, ""), b"coded").expect("stored");
    images.delete(&[1; 16]).expect("deleted");
    assert!(matches!(images.delete(&[1; 16]), Err(StorageError::NotFound)));
    assert!(matches!(images.find(&[1; 16]), Err(StorageError::NotFound)));
    assert!(matches!(images.open_object(&[1; 16]), Err(StorageError::NotFound)));
    assert!(objects(folder.path()).is_empty());
    assert_eq!(images.stored_bytes(None).expect("summed"), 0);
    let known = images.known(PEER, &[0x81; 16]).expect("asked").expect("still known");
    assert_eq!((known.image_id, known.summary), ([1; 16], vec![1, 1]));
}

#[test]
fn a_crash_between_object_and_row_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, text) = new_key();
    {
        let images = ImageStore::open(folder.path(), key).expect("opened");
        images.store(&image(1, ""), b"coded").expect("stored");
    }
    let whole = objects(folder.path()).remove(0);
    let orphan = folder.path().join("objects").join("07").join(format!("{}.lwo", "07".repeat(16)));
    fs::create_dir(orphan.parent().expect("a folder")).expect("made");
    fs::copy(&whole, &orphan).expect("copied");
    fs::write(folder.path().join("tmp").join("half"), b"half").expect("written");
    let images = ImageStore::open(folder.path(), again(&text)).expect("opened again");
    assert_eq!(objects(folder.path()), [whole]);
    assert_eq!(images.open_object(&[1; 16]).expect("opened").as_slice(), b"coded");
    assert_eq!(fs::read_dir(folder.path().join("tmp")).expect("there").count(), 0);
}

#[test]
fn another_storage_key_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(ImageStore::open(folder.path(), new_key().0).expect("opened"));
    assert!(matches!(ImageStore::open(folder.path(), new_key().0), Err(StorageError::WrongKey { .. })));
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, text) = new_key();
    let images = ImageStore::open(folder.path(), key).expect("opened");
    assert!(matches!(ImageStore::open(folder.path(), again(&text)), Err(StorageError::Locked { .. })));
    drop(images);
    ImageStore::open(folder.path(), again(&text)).expect("free again");
}

#[test]
fn a_changed_swapped_cut_or_lost_object_does_not_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = ImageStore::open(folder.path(), new_key().0).expect("opened");
    images.store(&image(1, ""), &[1; 70_000]).expect("stored");
    images.store(&image(2, ""), &[2; 70_000]).expect("stored");
    let mut paths = objects(folder.path());
    paths.sort();
    let (one, two) = (fs::read(&paths[0]).expect("there"), fs::read(&paths[1]).expect("there"));
    let damaged = |bytes: &[u8]| {
        fs::write(&paths[0], bytes).expect("written");
        let opened = images.open_object(&[1; 16]);
        assert!(matches!(opened, Err(StorageError::Damaged(_))), "{:?}", opened.err());
    };
    for position in (0..one.len()).step_by(997).chain([0, 40, 70, 104, one.len() - 1]) {
        let mut bytes = one.clone();
        bytes[position] ^= 1;
        damaged(&bytes);
    }
    for length in [0, 1, 99, 100, one.len() - 1] {
        damaged(&one[..length]);
    }
    damaged(&[one.as_slice(), &[0]].concat());
    damaged(&two);
    fs::remove_file(&paths[0]).expect("removed");
    assert!(matches!(images.open_object(&[1; 16]), Err(StorageError::Damaged(_))));
    assert_eq!(images.open_object(&[2; 16]).expect("untouched").as_slice(), [2; 70_000]);
}

#[test]
fn nothing_on_disk_can_be_read_without_the_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = ImageStore::open(folder.path(), new_key().0).expect("opened");
    let new = NewImage {
        summary: b"CANARY-summary".to_vec(),
        attributes: b"CANARY-attributes".to_vec(),
        peer: "canary-peer".to_owned(),
        ..image(1, "CANARY-study")
    };
    images.store(&new, &b"CANARY-pixels".repeat(100)).expect("stored");
    for path in files(folder.path()) {
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is open to others", path.display());
        let bytes = fs::read(&path).expect("readable").to_ascii_lowercase();
        let found = bytes.windows(6).any(|window| window == b"canary");
        assert!(!found, "{} holds plaintext", path.display());
    }
}

#[test]
fn the_wrapped_key_of_a_deleted_image_is_nowhere_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = ImageStore::open(folder.path(), new_key().0).expect("opened");
    images.store(&image(1, ""), b"coded").expect("stored");
    let wrapped: Vec<u8> = {
        let catalogue = rusqlite::Connection::open(folder.path().join("catalogue.sqlite")).expect("opened");
        catalogue.query_row("SELECT wrapped_key FROM images", [], |row| row.get(0)).expect("one row")
    };
    let holders = || {
        let holds = |path: &PathBuf| {
            fs::read(path).expect("readable").windows(wrapped.len()).any(|window| window == wrapped)
        };
        files(folder.path()).into_iter().filter(holds).collect::<Vec<_>>()
    };
    assert!(!holders().is_empty(), "the search finds what is there");
    images.delete(&[1; 16]).expect("deleted");
    assert_eq!(holders(), Vec::<PathBuf>::new());
}

#[test]
fn a_catalogue_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, text) = new_key();
    drop(ImageStore::open(folder.path(), key).expect("opened"));
    let catalogue = rusqlite::Connection::open(folder.path().join("catalogue.sqlite")).expect("opened");
    catalogue.pragma_update(None, "user_version", 99).expect("written");
    drop(catalogue);
    let opened = ImageStore::open(folder.path(), again(&text));
    assert!(matches!(opened, Err(StorageError::TooNew { found: 99, known: 2 })));
}
