//! A new storage key: everything is under it, or nothing is, and nothing under the old one is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use getrandom::{SysRng, rand_core::UnwrapErr};
use latentwire_sealing::at_rest::{DataKey, LookupKey, StorageKey, StorageKeyId};
use latentwire_storage::{
    ImageFilter, ImageStore, KeyWrapper, NewImage, ObjectId, Rotated, StorageError, rotate,
};
use rusqlite::{Connection, params};
use zeroize::Zeroizing;

const PEER: &str = "st-elsewhere";
const CATALOGUE: &str = "catalogue.sqlite";

fn new_key() -> StorageKey {
    StorageKey::generate(&mut UnwrapErr(SysRng))
}

fn again(key: &StorageKey) -> StorageKey {
    StorageKey::from_text(&key.to_text()).expect("its own text")
}

fn image(number: u8) -> NewImage {
    NewImage {
        image_id: [number; 16],
        transfer_id: [number | 0x80; 16],
        peer: PEER.to_owned(),
        study_group: "study".to_owned(),
        created_ms: i64::from(number),
        summary: vec![1, number],
        attributes: vec![2, number],
    }
}

/// A folder with images 1 to 3, of which 2 is deleted.
fn filled(folder: &Path, key: &StorageKey) {
    let images = ImageStore::open(folder, again(key)).expect("opened");
    for number in 1..=3 {
        images.store(&image(number), &[number; 70_000]).expect("stored");
    }
    images.delete(&[2; 16]).expect("deleted");
}

/// Everything that [`filled`] made is there under this key, and found by peer and study.
#[track_caller]
fn check_filled(folder: &Path, key: &StorageKey) {
    let images = ImageStore::open(folder, again(key)).expect("under this key");
    for number in [1, 3] {
        let found = images.find(&[number; 16]).expect("found");
        assert_eq!((found.summary, found.attributes), (vec![1, number], vec![2, number]));
        assert_eq!(images.open_object(&[number; 16]).expect("opened").as_slice(), [number; 70_000]);
    }
    assert!(matches!(images.open_object(&[2; 16]), Err(StorageError::NotFound)));
    let known = images.known(PEER, &[0x82; 16]).expect("asked").expect("a deleted image's transfer is known");
    assert_eq!(known.summary, [1, 2]);
    let filter = ImageFilter { peer: PEER.to_owned(), study_group: "study".to_owned() };
    assert_eq!(images.list(&filter, None, 10).expect("listed").images.len(), 2);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn holders(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let holds =
        |path: &PathBuf| fs::read(path).expect("readable").windows(bytes.len()).any(|window| window == bytes);
    files(folder).into_iter().filter(holds).collect()
}

/// Every sealed value of the catalogue.
fn sealed_values(folder: &Path) -> Vec<Vec<u8>> {
    let catalogue = Connection::open(folder.join(CATALOGUE)).expect("opened");
    let mut statement = catalogue
        .prepare(
            "SELECT wrapped_key FROM images UNION ALL SELECT summary FROM images
             UNION ALL SELECT attributes FROM images UNION ALL SELECT lookup_key FROM store",
        )
        .expect("columns");
    let values = statement.query_map([], |row| row.get::<_, Option<Vec<u8>>>(0)).expect("rows");
    values.filter_map(|value| value.expect("a value")).collect()
}

#[test]
fn everything_goes_over_and_nothing_under_the_old_key_is_left_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (new_key(), new_key());
    filled(folder.path(), &old);
    let before = sealed_values(folder.path());
    assert_eq!(before.len(), 2 + 3 + 2 + 1);
    assert!(
        before.iter().all(|value| !holders(folder.path(), value).is_empty()),
        "the search finds what is there"
    );
    let objects = |folder: &Path| {
        let of = |path: PathBuf| {
            path.extension().is_some_and(|end| end == "lwo").then(|| fs::read(&path).expect("read"))
        };
        files(folder).into_iter().filter_map(of).collect::<Vec<_>>()
    };
    let untouched = objects(folder.path());

    let rotated = rotate(folder.path(), &old, &new).expect("rotated");
    assert_eq!(rotated, Rotated { images: 2, tombstones: 1, already: false });
    for value in &before {
        assert_eq!(holders(folder.path(), value), Vec::<PathBuf>::new());
    }
    assert_eq!(holders(folder.path(), &old.id().0), Vec::<PathBuf>::new(), "not even the old key's id");
    assert_eq!(objects(folder.path()), untouched);
    assert!(matches!(ImageStore::open(folder.path(), again(&old)), Err(StorageError::WrongKey { .. })));
    check_filled(folder.path(), &new);

    let repeated = rotate(folder.path(), &old, &new).expect("nothing to do");
    assert_eq!(repeated, Rotated { images: 0, tombstones: 0, already: true });
    let third = new_key();
    rotate(folder.path(), &new, &third).expect("rotated once more");
    check_filled(folder.path(), &third);
}

#[test]
fn a_folder_in_use_a_foreign_key_and_no_folder_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new, foreign) = (new_key(), new_key(), new_key());
    assert!(matches!(rotate(folder.path(), &old, &new), Err(StorageError::NotFound)));
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new(), "nothing was made");
    filled(folder.path(), &old);
    let in_use = ImageStore::open(folder.path(), again(&old)).expect("opened");
    assert!(matches!(rotate(folder.path(), &old, &new), Err(StorageError::Locked { .. })));
    drop(in_use);
    let refused = rotate(folder.path(), &foreign, &new);
    assert!(matches!(refused, Err(StorageError::WrongKey { expected, found })
        if expected == old.id() && found == foreign.id()));
    check_filled(folder.path(), &old);
}

#[test]
fn one_damaged_row_stops_it_and_nothing_has_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (new_key(), new_key());
    filled(folder.path(), &old);
    let catalogue = Connection::open(folder.path().join(CATALOGUE)).expect("opened");
    let damaged: Vec<u8> = catalogue
        .query_row("SELECT wrapped_key FROM images WHERE image_id = ?1", params![[3_u8; 16]], |row| {
            row.get(0)
        })
        .expect("a row");
    let write = |wrapped: &[u8]| {
        let bound = params![wrapped, [3_u8; 16]];
        assert_eq!(
            catalogue
                .execute("UPDATE images SET wrapped_key = ?1 WHERE image_id = ?2", bound)
                .expect("written"),
            1
        );
    };
    let mut changed = damaged.clone();
    changed[60] ^= 1;
    write(&changed);
    assert!(matches!(rotate(folder.path(), &old, &new), Err(StorageError::Damaged(_))));
    write(&damaged);
    drop(catalogue);
    check_filled(folder.path(), &old);
}

/// A storage key whose device goes away after some calls.
struct Failing {
    key: StorageKey,
    left: AtomicU32,
}

impl Failing {
    fn spend(&self) -> Result<&StorageKey, StorageError> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(|_| &self.key).map_err(|_| StorageError::KeysUnavailable { cause: "pulled out".to_owned() })
    }
}

impl KeyWrapper for Failing {
    fn id(&self) -> StorageKeyId {
        self.key.id()
    }
    fn wrap(&self, id: &ObjectId, key: &DataKey) -> Result<Vec<u8>, StorageError> {
        KeyWrapper::wrap(self.spend()?, id, key)
    }
    fn unwrap(&self, id: &ObjectId, wrapped: &[u8]) -> Result<DataKey, StorageError> {
        KeyWrapper::unwrap(self.spend()?, id, wrapped)
    }
    fn seal_record(&self, id: &ObjectId, record: &[u8]) -> Result<Vec<u8>, StorageError> {
        KeyWrapper::seal_record(self.spend()?, id, record)
    }
    fn open_record(&self, id: &ObjectId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        KeyWrapper::open_record(self.spend()?, id, sealed)
    }
    fn wrap_lookup(&self, key: &LookupKey) -> Result<Vec<u8>, StorageError> {
        KeyWrapper::wrap_lookup(self.spend()?, key)
    }
    fn unwrap_lookup(&self, wrapped: &[u8]) -> Result<LookupKey, StorageError> {
        KeyWrapper::unwrap_lookup(self.spend()?, wrapped)
    }
}

#[test]
fn a_device_that_goes_away_at_any_call_leaves_the_folder_under_the_old_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (new_key(), new_key());
    filled(folder.path(), &old);
    let mut calls = 0;
    loop {
        let device = Failing { key: again(&new), left: AtomicU32::new(calls) };
        match rotate(folder.path(), &old, &device) {
            Err(StorageError::KeysUnavailable { .. }) => check_filled(folder.path(), &old),
            done => {
                assert_eq!(done.expect("rotated").images, 2);
                break;
            }
        }
        calls += 1;
    }
    assert_eq!(calls, 2 + 3 + 2 + 1, "one call a sealed value");
    let device = Failing { key: again(&new), left: AtomicU32::new(1000) };
    let images =
        ImageStore::open(folder.path(), device).expect("a device serves a store as a key in memory does");
    assert_eq!(images.open_object(&[1; 16]).expect("opened").as_slice(), [1; 70_000]);
    drop(images);
    check_filled(folder.path(), &new);
}

#[test]
fn a_catalogue_of_the_first_layout_keeps_its_look_ups_through_a_rotation() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (new_key(), new_key());
    drop(ImageStore::open(folder.path(), again(&old)).expect("opened"));
    let lookup = old.first_lookup_key();
    let catalogue = Connection::open(folder.path().join(CATALOGUE)).expect("opened");
    catalogue
        .execute_batch("ALTER TABLE store DROP COLUMN lookup_key; PRAGMA user_version = 1;")
        .expect("layout 1");
    let summary = old.seal_record(&mut UnwrapErr(SysRng), &[7; 16], &[1, 1, 7]);
    catalogue
        .execute(
            "INSERT INTO images (image_id, transfer_id, peer_tag, created_ms, stored_bytes, summary) VALUES (?1, ?2, ?3, 0, 0, ?4)",
            params![[7_u8; 16], [0x87_u8; 16], lookup.tag("peer", PEER.as_bytes()), summary],
        )
        .expect("a tombstone");
    drop(catalogue);
    rotate(folder.path(), &old, &new).expect("rotated");
    let images = ImageStore::open(folder.path(), again(&new)).expect("opened");
    assert_eq!(images.known(PEER, &[0x87; 16]).expect("asked").expect("known").summary, [1, 7]);
}

#[test]
fn a_reader_of_the_catalogue_does_not_keep_a_deleted_key_alive() {
    let folder = tempfile::tempdir().expect("a folder");
    let images = ImageStore::open(folder.path(), new_key()).expect("opened");
    images.store(&image(1), b"coded").expect("stored");
    let mut reader = Connection::open(folder.path().join(CATALOGUE)).expect("opened");
    let reading = reader.transaction().expect("begun");
    let wrapped: Vec<u8> =
        reading.query_row("SELECT wrapped_key FROM images", [], |row| row.get(0)).expect("one row");
    images.delete(&[1; 16]).expect("deleted");
    assert!(!holders(folder.path(), &wrapped).is_empty(), "the reader still sees what was");
    images.check_writable().expect("writable");
    assert!(!holders(folder.path(), &wrapped).is_empty(), "and still");
    reading.finish().expect("ended");
    images.check_writable().expect("writable");
    assert_eq!(holders(folder.path(), &wrapped), Vec::<PathBuf>::new());
}
