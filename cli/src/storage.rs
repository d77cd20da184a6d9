//! `latentwire storage`: a receiver's storage key, made and changed.
//!
//! ```text
//! rotate   FILE.next            made, unless --next names it
//!          catalogue            every row from FILE to FILE.next in one transaction
//!          FILE.retired-DATE    ◄─ copy ─ FILE          for backups made before
//!          FILE                 ◄─ rename ─ FILE.next   not with --next
//! ```
//!
//! At every moment FILE is a whole key, and FILE or FILE.next is the catalogue's: receiver-svc takes either.

use std::path::{Path, PathBuf};

use latentwire_service::keys::{KeySource, write_new_secret_file};
use latentwire_service::sealing::at_rest::StorageKey;
use latentwire_service::storage_key;
use latentwire_storage::{Rotated, StorageError};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    args::{StorageCommand, StorageGenerateArgs, StorageRotateArgs},
    failure::{Exit, Failure},
    keys::with_suffix,
    paths::display,
    terminal::Terminal,
    whole_file::rename,
};

/// Most keys that retire on one day.
const MOST_RETIRED_A_DAY: u32 = 1000;

/// Makes or changes a storage key.
///
/// # Errors
/// A key is not what it must be, a service uses the folder, or a file cannot be read or written.
pub fn storage(command: StorageCommand, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    match command {
        StorageCommand::Generate(args) => generate(&args, terminal),
        StorageCommand::Rotate(args) => rotate(&args, terminal),
    }?;
    Ok(Exit::Done)
}

fn generate(args: &StorageGenerateArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let key = new_key();
    write_new_secret_file(&args.output, &key.to_text())?;
    if args.json {
        let object = json!({"key_id": key.id().to_string(), "file": display(&args.output)});
        return terminal.print(&format!("{object}\n"));
    }
    if terminal.quiet() {
        return Ok(());
    }
    terminal.print(&format!(
        "storage key: {} (mode 0600)\nkey id:      {}\n\nKeep a copy apart from the backups.\n",
        args.output.display(),
        key.id()
    ))
}

fn new_key() -> StorageKey {
    StorageKey::generate(&mut getrandom::rand_core::UnwrapErr(getrandom::SysRng))
}

fn rotate(args: &StorageRotateArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let file = match &args.storage_key {
        Some(file) => file.clone(),
        None => storage_key::default_path(&args.data)
            .ok_or_else(|| Failure::usage("name the storage key: --storage-key FILE"))?,
    };
    if args.storage_key_source != KeySource::File && args.next.is_none() {
        return Err(Failure::usage(
            "a mounted key cannot be replaced from here: make the new one (`latentwire storage generate`), name it with --next, \
             and mount it when this is done",
        ));
    }
    let old = storage_key::load(&file, args.storage_key_source)?;
    let staged = storage_key::staged_path(&file);
    let new = match &args.next {
        Some(next) => storage_key::load(next, KeySource::File)?,
        None => staged_key(&staged)?,
    };
    let rotated =
        latentwire_storage::rotate(&args.data, &old, &new).map_err(|error| refused(&error, args))?;
    let retired = match &args.next {
        Some(_) => None,
        None => Some(swap(&file, &staged, &old)?),
    };
    let in_force = args.next.as_deref().unwrap_or(&file);
    let done = Done { old: &old, new: &new, rotated, in_force, retired };
    done.tell(args, terminal)
}

/// The next key: made, or left by a run that was cut off.
fn staged_key(staged: &Path) -> Result<StorageKey, Failure> {
    if staged.symlink_metadata().is_err() {
        write_new_secret_file(staged, &new_key().to_text())?;
    }
    Ok(storage_key::load(staged, KeySource::File)?)
}

/// Keeps the old key under a name of the day, then puts the new one in its place.
fn swap(file: &Path, staged: &Path, old: &StorageKey) -> Result<PathBuf, Failure> {
    let retired = retire(file, old)?;
    rename(staged, file).map_err(|error| Failure::file(staged, &error))?;
    Ok(retired)
}

fn retire(file: &Path, old: &StorageKey) -> Result<PathBuf, Failure> {
    let today = OffsetDateTime::now_utc().date();
    for number in 1..=MOST_RETIRED_A_DAY {
        let more = if number == 1 { String::new() } else { format!("-{number}") };
        let retired = with_suffix(file, &format!(".retired-{today}{more}"));
        if retired.symlink_metadata().is_err() {
            write_new_secret_file(&retired, &old.to_text())?;
            return Ok(retired);
        }
        // A run that was cut off has left it already.
        if storage_key::load(&retired, KeySource::File).is_ok_and(|found| found.id() == old.id()) {
            return Ok(retired);
        }
    }
    Err(Failure::local("KEY_FILE", format!("{}: too many keys retired today", file.display())))
}

fn refused(error: &StorageError, args: &StorageRotateArgs) -> Failure {
    let data = args.data.display();
    if matches!(error, StorageError::Locked { .. }) {
        let problem =
            format!("{data} is in use: stop receiver-svc first (systemctl stop latentwire-receiver)");
        return Failure::local("STORAGE_IN_USE", problem);
    }
    let problem = if matches!(error, StorageError::NotFound) {
        format!("{data} holds no catalogue: name receiver-svc's data folder")
    } else if matches!(error, StorageError::Damaged(_)) {
        format!("{error}; nothing was changed: a row of the catalogue does not open under the old key")
    } else {
        format!("{data}: {error}")
    };
    Failure::local("STORAGE", problem)
}

/// What a rotation did.
struct Done<'a> {
    old: &'a StorageKey,
    new: &'a StorageKey,
    rotated: Rotated,
    in_force: &'a Path,
    retired: Option<PathBuf>,
}

impl Done<'_> {
    fn tell(&self, args: &StorageRotateArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let Rotated { images, tombstones, already } = self.rotated;
        if args.json {
            let object = json!({
                "old_key_id": self.old.id().to_string(),
                "new_key_id": self.new.id().to_string(),
                "images": images,
                "tombstones": tombstones,
                "already": already,
                "key_file": display(self.in_force),
                "retired_file": self.retired.as_deref().map(display),
            });
            return terminal.print(&format!("{object}\n"));
        }
        if terminal.quiet() {
            return Ok(());
        }
        let mut text = if already {
            "An earlier run had wrapped everything already.\n".to_owned()
        } else {
            format!("{images} images and {tombstones} records of deleted ones are under the new key.\n")
        };
        text += &format!("new key  {}\n         {}\n", self.new.id(), self.in_force.display());
        text += &format!("old key  {}\n", self.old.id());
        text += &match &self.retired {
            Some(file) => {
                format!("         {}, for backups made before; destroy it with them\n\n", file.display())
            }
            None => "\nPut the new key where receiver-svc reads it. ".to_owned(),
        };
        text += "Start receiver-svc now, and keep a copy of the new key apart from the backups.\n";
        terminal.print(&text)
    }
}
