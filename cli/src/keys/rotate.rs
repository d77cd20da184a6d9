//! `latentwire keys rotate`: the next key beside the old one, and later in its place.
//!
//! ```text
//! stage     FILE          FILE.pub             in force, untouched
//!           FILE.next     FILE.next.pub        new; the peers pin it beside the old one
//! finish    FILE.retired-DATE[.pub]  ◄─ copy ─ FILE[.pub]        the old key, for the records
//!           FILE          FILE.pub   ◄─ rename ─ FILE.next[.pub]
//! ```
//!
//! At every moment FILE holds one whole key. A finish that was cut off is completed by the next one.

use std::path::{Path, PathBuf};

use latentwire_service::keys::{self, KeySource};
use latentwire_service::sealing::{PublicKey, Role, SecretKey};
use serde_json::json;
use time::OffsetDateTime;

use super::{new_key, object, pair, secret_key, with_suffix};
use crate::{
    args::RotateArgs,
    failure::Failure,
    paths::display,
    terminal::{Paint, Terminal, paint},
    whole_file::{WholeFile, rename},
};

/// Most keys that retire on one day.
const MOST_RETIRED_A_DAY: u32 = 1000;

/// Where the next key of a rotation waits.
#[must_use]
pub fn staged_file(file: &Path) -> PathBuf {
    with_suffix(file, ".next")
}

/// Makes the next key and says what to tell the peers.
///
/// # Errors
/// The key cannot be read, one is staged already, or a file cannot be written.
pub fn stage(args: &RotateArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let old = *secret_key(&args.file, KeySource::File)?.public_key();
    if finish_was_cut_off(&args.file, &old) {
        move_public(&args.file, &with_suffix(&args.file, ".pub"))?;
    }
    let staged = staged_file(&args.file);
    let (new, public_file) = if staged.symlink_metadata().is_ok() {
        complete_stage(&args.file, &staged, old.role())?
    } else {
        let new = new_key(old.role());
        let public_file = pair::write_new(&staged, &new)?;
        (*new.public_key(), public_file)
    };
    let new = &new;
    if args.json {
        let object = json!({
            "old": object(&old),
            "new": object(new),
            "staged_file": display(&staged),
            "staged_public_file": display(&public_file),
        });
        return terminal.print(&format!("{object}\n"));
    }
    if terminal.quiet() {
        return Ok(());
    }
    let guide = match old.role() {
        Role::Sender => sender_guide(&args.file, &public_file, &old, new),
        Role::Receiver => receiver_guide(&args.file, &public_file, new),
    };
    let head = line("old key", &old, &args.file, "in force")
        + &line("new key", new, &staged, "not in force yet")
        + "\n";
    terminal.print(&(head + &guide))
}

/// A key as two administrators compare it, and where it is; narrow enough for any terminal.
fn line(title: &str, key: &PublicKey, file: &Path, state: &str) -> String {
    let fingerprint = paint(Paint::Strong, &key.fingerprint().to_string());
    format!("{title}  {fingerprint}\n         {}, {state}\n", file.display())
}

/// A stage that was cut off between the two files is completed; one that was not has told its peers already.
fn complete_stage(file: &Path, staged: &Path, role: Role) -> Result<(PublicKey, PathBuf), Failure> {
    let new = *keys::load_secret_key(staged, KeySource::File, role)?.public_key();
    let public_file = with_suffix(staged, ".pub");
    if public_file.symlink_metadata().is_ok() {
        let message = format!(
            "{0} is staged already (fingerprint {1}): run `latentwire keys rotate --finish '{2}'`, or remove {0} and {3} to \
             begin anew",
            staged.display(),
            new.fingerprint(),
            file.display(),
            public_file.display(),
        );
        return Err(Failure::local("ROTATION_STAGED", message));
    }
    write_public(&public_file, &new)?;
    Ok((new, public_file))
}

fn write_public(file: &Path, key: &PublicKey) -> Result<(), Failure> {
    let mut whole = WholeFile::create(file)?;
    whole.write(format!("{key}\n").as_bytes())?;
    whole.keep_new()
}

fn sender_guide(file: &Path, public_file: &Path, old: &PublicKey, new: &PublicKey) -> String {
    let (file, public_name) = (file.display(), file_name(public_file));
    format!(
        "1. Send this file to every receiver, and read the new fingerprint out over the
   phone:
     {}
     {}
   There it is pinned beside the old key, and the service reads it within
   seconds:
     latentwire trust add TRUST.toml --name THIS-SITE --key {public_name}
2. When all of them have said so, put the key in force here and restart
   sender-svc:
     latentwire keys rotate --finish '{file}'
3. When images arrive under the new key, each receiver takes the old one back:
     latentwire trust revoke TRUST.toml --name THIS-SITE \\
       --fingerprint '{}'
",
        public_file.display(),
        new.fingerprint(),
        old.fingerprint(),
    )
}

fn receiver_guide(file: &Path, public_file: &Path, new: &PublicKey) -> String {
    let (file, public_name) = (file.display(), file_name(public_file));
    format!(
        "1. Send this file to every sender, and read the new fingerprint out over the
   phone:
     {}
     {}
   There it is pinned behind the old key, and sender-svc is restarted:
     --destination THIS-SITE=URL,OLDKEY,{public_name}
2. When all of them have said so, put the key in force here and restart
   receiver-svc:
     latentwire keys rotate --finish '{file}'
3. When their images arrive, each sender takes the old key out of its
   destination:
     --destination THIS-SITE=URL,{public_name}
",
        public_file.display(),
        new.fingerprint(),
    )
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Puts the staged key in place of the old one, which is kept.
///
/// # Errors
/// No key is staged, it is none or of the other role, or a file cannot be written.
pub fn finish(args: &RotateArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let (file, staged) = (&args.file, staged_file(&args.file));
    let in_force = secret_key(file, KeySource::File)?;
    let swapped = if staged.symlink_metadata().is_ok() {
        let next = keys::load_secret_key(&staged, KeySource::File, in_force.role())?;
        let staged_public = with_suffix(&staged, ".pub");
        if staged_public.symlink_metadata().is_err() {
            // A stage that was cut off: without it, FILE.pub would stay the old key's.
            write_public(&staged_public, next.public_key())?;
        }
        let retired = retire(file, &in_force)?;
        let target = with_suffix(file, ".pub");
        rename(&staged, file).map_err(|error| Failure::file(&staged, &error))?;
        move_public(file, &target)?;
        Swapped { old: Some((*in_force.public_key(), retired)), new: *next.public_key() }
    } else if finish_was_cut_off(file, in_force.public_key()) {
        move_public(file, &with_suffix(file, ".pub"))?;
        Swapped { old: None, new: *in_force.public_key() }
    } else {
        let message = format!(
            "no key is staged for {0}: run `latentwire keys rotate '{0}'` first, and tell the peers",
            file.display()
        );
        return Err(Failure::local("NO_ROTATION_STAGED", message));
    };
    swapped.tell(args, terminal)
}

/// What a finish did.
struct Swapped {
    /// The key that was in force and where it is now; absent if an earlier finish had moved it already.
    old: Option<(PublicKey, PathBuf)>,
    new: PublicKey,
}

impl Swapped {
    fn tell(&self, args: &RotateArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        if args.json {
            let object = json!({
                "old": self.old.as_ref().map(|(key, _)| object(key)),
                "new": object(&self.new),
                "retired_file": self.old.as_ref().map(|(_, file)| display(file)),
            });
            return terminal.print(&format!("{object}\n"));
        }
        if terminal.quiet() {
            return Ok(());
        }
        let mut text = String::new();
        if let Some((key, file)) = &self.old {
            text += &line("old key", key, file, "kept for the records");
        }
        text += &line("new key", &self.new, &args.file, "in force");
        let (service, whose) = match self.new.role() {
            Role::Sender => ("sender-svc", "the receivers revoke the old one"),
            Role::Receiver => ("receiver-svc", "the senders unpin the old one"),
        };
        text += &format!("\nRestart {service} now. When images arrive under the new key,\n{whose}.\n");
        terminal.print(&text)
    }
}

/// Keeps the old pair under a name of the day; a copy, so that FILE is never absent.
fn retire(file: &Path, key: &SecretKey) -> Result<PathBuf, Failure> {
    let today = OffsetDateTime::now_utc().date();
    for number in 1..=MOST_RETIRED_A_DAY {
        let more = if number == 1 { String::new() } else { format!("-{number}") };
        let retired = with_suffix(file, &format!(".retired-{today}{more}"));
        // A finish that was cut off has left it already.
        if holds(&retired, key.public_key()) {
            return Ok(retired);
        }
        let taken = |name: &Path| name.symlink_metadata().is_ok();
        if !taken(&retired) && !taken(&with_suffix(&retired, ".pub")) {
            pair::write_new(&retired, key)?;
            return Ok(retired);
        }
    }
    Err(Failure::local("KEY_FILE", format!("{}: too many keys retired today", file.display())))
}

fn holds(file: &Path, key: &PublicKey) -> bool {
    secret_key(file, KeySource::File).is_ok_and(|found| found.public_key() == key)
}

/// Whether an earlier finish was killed: the secret key was swapped and its public half was not.
fn finish_was_cut_off(file: &Path, in_force: &PublicKey) -> bool {
    let public = with_suffix(&staged_file(file), ".pub");
    keys::load_public_key(&public.to_string_lossy()).is_ok_and(|staged| staged == *in_force)
}

fn move_public(file: &Path, target: &Path) -> Result<(), Failure> {
    let staged = with_suffix(&staged_file(file), ".pub");
    rename(&staged, target).map_err(|error| Failure::file(&staged, &error))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::args::OutputArgs;

    struct Place {
        _folder: tempfile::TempDir,
        file: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("temporary folder");
            let file = folder.path().join("sender.key");
            keys::write_new_key_file(&file, &new_key(Role::Sender)).expect("written");
            Self { _folder: folder, file }
        }

        fn path(&self, suffix: &str) -> PathBuf {
            with_suffix(&self.file, suffix)
        }

        fn key(&self, suffix: &str) -> PublicKey {
            *secret_key(&self.path(suffix), KeySource::File).expect("a key").public_key()
        }

        fn public(&self, suffix: &str) -> PublicKey {
            keys::load_public_key(&self.path(suffix).to_string_lossy()).expect("a public key")
        }

        fn rotate(&self, finish: bool) -> Result<String, Failure> {
            let mut out = Vec::new();
            let args = RotateArgs { file: self.file.clone(), finish, json: false };
            let mut terminal = Terminal::new(&mut out, OutputArgs::default());
            if finish { super::finish(&args, &mut terminal) } else { super::stage(&args, &mut terminal) }?;
            Ok(String::from_utf8(out).expect("text"))
        }

        fn retired(&self) -> Vec<PathBuf> {
            let folder = self.file.parent().expect("a folder");
            let mut found: Vec<_> = fs::read_dir(folder)
                .expect("readable")
                .map(|entry| entry.expect("readable").path())
                .filter(|path| {
                    path.to_string_lossy().contains(".retired-")
                        && path.extension().is_none_or(|e| e != "pub")
                })
                .collect();
            found.sort();
            found
        }
    }

    #[test]
    fn the_next_key_waits_and_then_takes_the_place_of_the_old_one() {
        let place = Place::new();
        let old = place.key("");
        let told = place.rotate(false).expect("staged");
        let new = place.key(".next");
        assert_ne!(old, new);
        assert_eq!(place.key(""), old, "nothing is in force yet");
        assert_eq!(place.public(".next.pub"), new);
        assert_eq!(fs::metadata(place.path(".next")).expect("there").permissions().mode() & 0o777, 0o600);
        for fingerprint in [old.fingerprint(), new.fingerprint()] {
            assert!(told.contains(&fingerprint.to_string()), "{told}");
        }
        fs::remove_file(place.path(".next.pub")).expect("a stage that was cut off leaves none");
        assert_eq!(place.rotate(false).expect("completed"), told);
        assert_eq!((place.key(".next"), place.public(".next.pub")), (new, new));
        let again = place.rotate(false).expect_err("one is staged");
        assert_eq!(again.reason, "ROTATION_STAGED");
        assert_eq!(place.key(".next"), new, "nothing is overwritten");

        place.rotate(true).expect("finished");
        assert_eq!((place.key(""), place.public(".pub")), (new, new));
        assert!(!place.path(".next").exists() && !place.path(".next.pub").exists());
        let retired = place.retired();
        assert_eq!(retired.len(), 1);
        assert!(holds(&retired[0], &old));
        assert_eq!(place.rotate(true).expect_err("nothing is staged").reason, "NO_ROTATION_STAGED");

        place.rotate(false).expect("staged");
        place.rotate(true).expect("finished");
        assert_eq!(place.retired().len(), 2, "two keys of one day");
    }

    #[test]
    fn a_finish_that_was_cut_off_is_completed() {
        let place = Place::new();
        let old = place.key("");
        place.rotate(false).expect("staged");
        let new = place.key(".next");
        // After the copy of the old key.
        let key = secret_key(&place.file, KeySource::File).expect("a key");
        let retired = retire(&place.file, &key).expect("copied");
        // And after the swap of the secret key.
        fs::rename(place.path(".next"), &place.file).expect("renamed");
        place.rotate(true).expect("completed");
        assert_eq!((place.key(""), place.public(".pub")), (new, new));
        assert_eq!(place.retired(), std::slice::from_ref(&retired));
        assert!(holds(&retired, &old));

        // A cut between copy and swap leaves no second copy.
        place.rotate(false).expect("staged");
        let key = secret_key(&place.file, KeySource::File).expect("a key");
        let second = retire(&place.file, &key).expect("copied");
        place.rotate(true).expect("finished");
        assert_eq!(place.retired(), [retired, second]);
    }

    #[test]
    fn what_is_staged_must_be_a_key_of_the_same_role() {
        let place = Place::new();
        let old = place.key("");
        keys::write_new_key_file(&place.path(".next"), &new_key(Role::Receiver)).expect("written");
        assert_eq!(place.rotate(true).expect_err("another role").reason, "KEY_FILE");
        fs::remove_file(place.path(".next")).expect("removed");
        fs::write(place.path(".next"), "no key\n").expect("written");
        place.rotate(true).expect_err("no key, and open to others");
        assert_eq!(place.key(""), old);
        assert!(place.retired().is_empty());
    }
}
