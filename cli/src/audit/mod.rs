//! `latentwire audit`: check an audit log, print it, make its key.

mod export;
mod verify;

use std::path::{Path, PathBuf};

use latentwire_audit::{AuditError, AuditKey};
use latentwire_service::keys::{KeyFileError, KeySource, read_secret_file, write_new_secret_file};
use serde_json::json;

use crate::{
    args::{AuditCommand, KeygenArgs},
    failure::{Exit, Failure},
    keys::with_suffix,
    paths::display,
    terminal::Terminal,
    whole_file::WholeFile,
};

/// Checks or prints a log, or makes a key.
///
/// # Errors
/// A file cannot be read or written, or holds no key. A log that is not whole is no error but an [`Exit`].
pub fn audit(command: AuditCommand, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    match command {
        AuditCommand::Verify(args) => verify::verify(&args, terminal),
        AuditCommand::Export(args) => export::export(&args, terminal).map(|()| Exit::Done),
        AuditCommand::Keygen(args) => keygen(&args, terminal).map(|()| Exit::Done),
    }
}

fn keygen(args: &KeygenArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let public_file = with_suffix(&args.output, ".pub");
    if public_file.symlink_metadata().is_ok() {
        return Err(KeyFileError::Exists { path: public_file }.into());
    }
    let key = AuditKey::generate();
    let id = key.public_key().id().to_string();
    write_new_secret_file(&args.output, &key.to_text())?;
    WholeFile::write_all(&public_file, format!("{}\n", key.public_key()).as_bytes())?;
    if args.json {
        let object = json!({
            "key_id": id,
            "secret_file": display(&args.output),
            "public_file": display(&public_file),
        });
        return terminal.print(&format!("{object}\n"));
    }
    if terminal.quiet() {
        return Ok(());
    }
    terminal.print(&format!(
        "key id:      {id}\nsecret key:  {} (mode 0600; keep it with the auditor, away from the services)\npublic file: {} (for \
         --audit-key of the services)\n",
        args.output.display(),
        public_file.display()
    ))
}

fn secret_key(file: Option<&PathBuf>) -> Result<Option<AuditKey>, Failure> {
    let read = |file: &PathBuf| {
        let text = read_secret_file(file, KeySource::File)?;
        let key = AuditKey::from_text(&text);
        key.map_err(|error| Failure::local("KEY_FILE", format!("{}: {error}", file.display())))
    };
    file.map(read).transpose()
}

fn unreadable(folder: &Path, error: &AuditError) -> Failure {
    if let AuditError::Io { path, cause } = error {
        return Failure::file(path, cause);
    }
    Failure::local("AUDIT_LOG", format!("{}: {error}", folder.display()))
}
