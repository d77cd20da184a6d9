//! Secret key files: read with the checks that ssh makes, written once and never over another.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use latentwire_sealing::{CryptoError, PublicKey, Role, SecretKey};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use thiserror::Error;
use zeroize::Zeroizing;

pub use crate::args::KeySource;

/// Largest key file: one line and some comments.
const MAX_KEY_FILE_BYTES: u64 = 4096;
/// Permission bits of the group and of everybody.
const OTHERS: u32 = 0o077;
/// Permission bits that let the group or everybody write.
const OTHERS_WRITE: u32 = 0o022;

/// Why a key file was refused; local, it names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// Another user owns it.
    #[error("key file {} belongs to user {owner}, not to this one ({user}): run `chown {user} '{}'`", path.display(), path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who reads it.
        user: u32,
    },
    /// Others may read it.
    #[error(
        "key file {} is open to others (mode {mode:04o}): make a new key if anyone could have read it, else run `chmod 600 '{}'`",
        path.display(), path.display()
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a symbolic link.
    #[error("key file {} is a symbolic link: name the file itself, or pass --key-source mounted where an orchestrator makes the link", path.display())]
    SymbolicLink {
        /// The link.
        path: PathBuf,
    },
    /// It is no regular file, or far too long for a key.
    #[error("key file {} is not a regular file of at most 4096 bytes: name the file that `latentwire keys generate` wrote", path.display())]
    NotAKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// The key in it is none.
    #[error("key file {}: {cause}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: CryptoError,
    },
    /// The key is for the other role.
    #[error("key file {} holds a {found} key, a {expected} key is needed: run `latentwire keys generate --role {expected}`", path.display())]
    Role {
        /// The file.
        path: PathBuf,
        /// Role that is needed.
        expected: Role,
        /// Role that it has.
        found: Role,
    },
    /// The file is there already.
    #[error("{} exists already and is not overwritten: choose another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("key file {}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
}

/// Reads a secret key and checks its role.
///
/// With [`KeySource::Fd`], `path` is the number of an open file descriptor.
///
/// # Errors
/// [`KeyFileError`]: permissions, owner, link, no key, or the wrong role; each text says what mends it.
pub fn load_secret_key(path: &Path, source: KeySource, role: Role) -> Result<SecretKey, KeyFileError> {
    let text = read_secret_file(path, source)?;
    let key =
        SecretKey::from_text(&text).map_err(|cause| KeyFileError::Text { path: path.to_owned(), cause })?;
    if key.role() == role {
        Ok(key)
    } else {
        Err(KeyFileError::Role { path: path.to_owned(), expected: role, found: key.role() })
    }
}

/// Reads a small secret text file after the checks of `source`; also for storage keys.
///
/// # Errors
/// As [`load_secret_key`], without the key's own.
pub fn read_secret_file(path: &Path, source: KeySource) -> Result<Zeroizing<String>, KeyFileError> {
    read_secret_file_up_to(path, source, MAX_KEY_FILE_BYTES)
}

/// The same with another limit on the file's length.
pub(crate) fn read_secret_file_up_to(
    path: &Path,
    source: KeySource,
    max_bytes: u64,
) -> Result<Zeroizing<String>, KeyFileError> {
    let file = open(path, source)?;
    let io = |cause: std::io::Error| KeyFileError::Io { path: path.to_owned(), cause };
    let status = file.metadata().map_err(io)?;
    let pipe_allowed = source == KeySource::Fd;
    if !(status.is_file() || pipe_allowed) || status.len() > max_bytes {
        return Err(KeyFileError::NotAKeyFile { path: path.to_owned() });
    }
    let mode = status.mode() & 0o7777;
    let user = rustix::process::geteuid().as_raw();
    let (owner_fits, forbidden) = match source {
        KeySource::File => (status.uid() == user, OTHERS),
        KeySource::Mounted => (status.uid() == user || status.uid() == 0, OTHERS_WRITE),
        KeySource::Fd => (true, 0),
    };
    if !owner_fits {
        return Err(KeyFileError::Owner { path: path.to_owned(), owner: status.uid(), user });
    }
    if mode & forbidden != 0 {
        return Err(KeyFileError::Permissions { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(max_bytes).unwrap_or(0) + 1));
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > max_bytes {
        return Err(KeyFileError::NotAKeyFile { path: path.to_owned() });
    }
    let text =
        std::str::from_utf8(&bytes).map_err(|_| KeyFileError::NotAKeyFile { path: path.to_owned() })?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn open(path: &Path, source: KeySource) -> Result<File, KeyFileError> {
    let io = |cause: std::io::Error| KeyFileError::Io { path: path.to_owned(), cause };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = match source {
        KeySource::File => rustix::fs::open(path, flags | OFlags::NOFOLLOW, Mode::empty()),
        KeySource::Mounted => rustix::fs::open(path, flags, Mode::empty()),
        KeySource::Fd => {
            let number: u32 = path.to_str().and_then(|number| number.parse().ok()).ok_or_else(|| {
                io(std::io::Error::other("--key-source fd wants the number of a descriptor"))
            })?;
            return File::open(format!("/dev/fd/{number}")).map_err(io);
        }
    };
    match opened {
        Ok(descriptor) => Ok(File::from(descriptor)),
        Err(Errno::LOOP) => Err(KeyFileError::SymbolicLink { path: path.to_owned() }),
        Err(cause) => Err(io(cause.into())),
    }
}

/// Writes a new secret key file, mode 0600, and beside it `PATH.pub` with the public key. Nothing is ever overwritten.
///
/// # Errors
/// [`KeyFileError::Exists`] if either file is there, [`KeyFileError::Io`] if the operating system refuses.
pub fn write_new_key_file(path: &Path, key: &SecretKey) -> Result<PathBuf, KeyFileError> {
    let mut public_path = path.as_os_str().to_owned();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    if public_path.symlink_metadata().is_ok() {
        return Err(KeyFileError::Exists { path: public_path });
    }
    let public = key.public_key();
    let mut secret = Zeroizing::new(String::with_capacity(512));
    secret.push_str(&format!("# Latentwire {} key; fingerprint {}\n", key.role(), public.fingerprint()));
    secret.push_str("# SECRET: whoever reads this can act as this service.\n");
    secret.push_str(&key.to_text());
    secret.push('\n');
    write_new_file(path, secret.as_bytes(), 0o600)?;
    write_new_file(&public_path, format!("{public}\n").as_bytes(), 0o644)?;
    Ok(public_path)
}

/// Writes the text of a new secret (a storage key, say), mode 0600; nothing is ever overwritten.
///
/// # Errors
/// As [`write_new_key_file`].
pub fn write_new_secret_file(path: &Path, text: &str) -> Result<(), KeyFileError> {
    let mut line = Zeroizing::new(String::with_capacity(text.len() + 1));
    line.push_str(text);
    line.push('\n');
    write_new_file(path, line.as_bytes(), 0o600)
}

/// Reads a public key: the text itself, or the file that holds it.
///
/// # Errors
/// [`KeyFileError::Text`] if it is neither, [`KeyFileError::Io`] if the file cannot be read.
pub fn load_public_key(text_or_path: &str) -> Result<PublicKey, KeyFileError> {
    if let Ok(key) = PublicKey::from_text(text_or_path) {
        return Ok(key);
    }
    let path = PathBuf::from(text_or_path);
    let io = |cause| KeyFileError::Io { path: path.clone(), cause };
    let mut text = String::new();
    let file = File::open(&path).map_err(io)?;
    file.take(MAX_KEY_FILE_BYTES).read_to_string(&mut text).map_err(io)?;
    PublicKey::from_text(&text).map_err(|cause| KeyFileError::Text { path: path.clone(), cause })
}

/// Writes a file that appears whole or not at all, whenever the power fails, and never over another.
fn write_new_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyFileError> {
    let io = |cause: std::io::Error| KeyFileError::Io { path: path.to_owned(), cause };
    let exists = || KeyFileError::Exists { path: path.to_owned() };
    if path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".latentwire.")
        .suffix(".part")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(io)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(io)?;
    file.persist_noclobber(path).map_err(|error| {
        if error.error.kind() == ErrorKind::AlreadyExists { exists() } else { io(error.error) }
    })?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use getrandom::rand_core::UnwrapErr;

    use super::*;

    fn new_key(folder: &tempfile::TempDir, role: Role) -> PathBuf {
        let path = folder.path().join("sender.key");
        let key = SecretKey::generate(role, &mut UnwrapErr(getrandom::SysRng));
        write_new_key_file(&path, &key).expect("written");
        path
    }

    fn refusal(path: &Path, source: KeySource) -> KeyFileError {
        match load_secret_key(path, source, Role::Sender) {
            Ok(_) => panic!("{} was accepted", path.display()),
            Err(error) => error,
        }
    }

    #[test]
    fn a_written_key_loads_and_its_public_half_is_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = new_key(&folder, Role::Sender);
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let key = load_secret_key(&path, KeySource::File, Role::Sender).expect("a good key");
        let public = load_public_key(&format!("{}.pub", path.display())).expect("a public key");
        assert_eq!(public, *key.public_key());
        assert_eq!(load_public_key(&public.to_string()).expect("the text itself"), public);
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("no folder/sender.key");
        assert!(matches!(write_new_secret_file(&missing, "text"), Err(KeyFileError::Io { .. })));
        let taken = folder.path().join("taken.key");
        std::os::unix::fs::symlink("nowhere", &taken).expect("linked");
        assert!(matches!(write_new_secret_file(&taken, "text"), Err(KeyFileError::Exists { .. })));
        let whole = folder.path().join("whole.key");
        write_new_secret_file(&whole, "text").expect("written");
        assert_eq!(std::fs::read(&whole).expect("there"), b"text\n");
        assert_eq!(std::fs::metadata(&whole).expect("there").permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "a part is left");
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = new_key(&folder, Role::Sender);
        let before = std::fs::read(&path).expect("there");
        let other = SecretKey::generate(Role::Sender, &mut UnwrapErr(getrandom::SysRng));
        assert!(matches!(write_new_key_file(&path, &other), Err(KeyFileError::Exists { .. })));
        std::fs::remove_file(format!("{}.pub", path.display())).expect("removed");
        assert!(matches!(write_new_key_file(&path, &other), Err(KeyFileError::Exists { .. })));
        assert_eq!(std::fs::read(&path).expect("there"), before);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = new_key(&folder, Role::Sender);
        for mode in [0o644, 0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("changed");
            let error = refusal(&path, KeySource::File);
            assert!(matches!(error, KeyFileError::Permissions { .. }), "{mode:o}: {error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_symbolic_link_is_refused_unless_mounted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = new_key(&folder, Role::Sender);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        assert!(matches!(refusal(&link, KeySource::File), KeyFileError::SymbolicLink { .. }));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).expect("changed");
        load_secret_key(&link, KeySource::Mounted, Role::Sender).expect("as an orchestrator mounts it");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o664)).expect("changed");
        assert!(matches!(refusal(&link, KeySource::Mounted), KeyFileError::Permissions { .. }));
    }

    #[test]
    fn a_typo_another_role_and_other_files_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = new_key(&folder, Role::Receiver);
        assert!(matches!(refusal(&path, KeySource::File), KeyFileError::Role { .. }));
        let text = std::fs::read_to_string(&path).expect("there");
        let last = text.trim_end().chars().last().expect("not empty");
        let typo = format!(
            "{}{}",
            &text.trim_end()[..text.trim_end().len() - 1],
            if last == 'Q' { 'P' } else { 'Q' }
        );
        std::fs::write(&path, typo).expect("written");
        let error = refusal(&path, KeySource::File);
        assert!(matches!(error, KeyFileError::Text { .. }), "{error}");
        assert!(!error.to_string().contains("LATENTWIRE-SECRET"), "no part of the key in the text: {error}");
        assert!(matches!(
            refusal(folder.path(), KeySource::File),
            KeyFileError::NotAKeyFile { .. } | KeyFileError::Permissions { .. }
        ));
        std::fs::write(&path, vec![b'#'; 5000]).expect("written");
        assert!(matches!(refusal(&path, KeySource::File), KeyFileError::NotAKeyFile { .. }));
        assert!(matches!(refusal(&folder.path().join("none"), KeySource::File), KeyFileError::Io { .. }));
    }

    #[test]
    fn a_descriptor_is_read_once() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().expect("a folder");
        let path = new_key(&folder, Role::Sender);
        let file = File::open(&path).expect("opened");
        let number = PathBuf::from(file.as_raw_fd().to_string());
        load_secret_key(&number, KeySource::Fd, Role::Sender).expect("a good key");
        assert!(matches!(refusal(Path::new("stdin"), KeySource::Fd), KeyFileError::Io { .. }));
    }
}
