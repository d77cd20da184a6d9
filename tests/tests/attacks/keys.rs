//! Key files that others can read, that lie elsewhere, or that are none: N29.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use latentwire_sealing::SecretKey;
use latentwire_tests::{
    Receiver, Sender, Workplace,
    process::{Service, free_address},
};

use crate::{cases::Cases, stand::models};

/// What a service says that cannot start with its key file; it says nothing of the key itself.
fn refused(workplace: &Workplace, role: &str, flags: &[&str]) -> String {
    let models = models();
    let flags = [&["--models", models.as_str()], flags].concat();
    let data = workplace.path("refused-data");
    let mut launch = if role == "receiver" {
        Receiver::launch(workplace, &data, free_address(), free_address(), &flags)
    } else {
        Sender::launch(workplace, "sender.key", free_address(), free_address(), &flags)
    };
    launch.log = workplace.path("refused.log");
    // The log of one start alone.
    let _ = fs::remove_file(&launch.log);
    let log = Service::start(launch).expect_err("a service has started with a bad key file");
    assert!(!log.contains("panicked"), "{log}");
    assert!(!data.join("catalogue.sqlite").exists(), "the data folder was opened without a key");
    log
}

#[test]
fn n29_key_files() {
    let mut cases = Cases::of("n29_key_files");
    let workplace = Workplace::new();
    for role in ["receiver", "sender"] {
        let file = workplace.path(&format!("{role}.key"));
        let text = fs::read_to_string(&file).expect("a key file");
        let line = text.lines().find(|line| line.starts_with("LATENTWIRE-")).expect("a key").to_owned();
        let mut try_it = |what: &str, said: &[&str]| {
            let log = refused(&workplace, role, &[]);
            assert!(said.iter().any(|said| log.contains(said)), "{role}, {what}:\n{log}");
            // The last part of the secret, in case only a piece was told.
            assert!(!log.contains(&line[line.len() - 12..]), "{role}, {what}: the key is in the log");
            cases.one();
        };
        for mode in [0o644, 0o640, 0o604, 0o660, 0o606, 0o777, 0o620, 0o602] {
            set_mode(&file, mode);
            try_it(&format!("mode {mode:o}"), &["chmod 600"]);
        }
        set_mode(&file, 0o600);
        // Somebody else's file, where whoever runs this may give files away.
        if std::os::unix::fs::chown(&file, Some(65_534), None).is_ok() {
            try_it("another's", &["chown", "owned", "owner"]);
            std::os::unix::fs::chown(&file, Some(rustix::process::getuid().as_raw()), None)
                .expect("given back");
        }
        let aside = workplace.path("aside.key");
        fs::rename(&file, &aside).expect("moved");
        try_it("missing", &["latentwire keys generate", "No such file", "cannot be read"]);
        symlink(&aside, &file).expect("a link");
        try_it("a link", &["symbolic link"]);
        fs::rename(&aside, workplace.path("away.key")).expect("moved");
        try_it("a link to nothing", &["symbolic link", "No such file", "cannot be read"]);
        fs::rename(workplace.path("away.key"), &aside).expect("moved");
        fs::remove_file(&file).expect("removed");
        fs::create_dir(&file).expect("a folder");
        try_it("a folder", &["key"]);
        fs::remove_dir(&file).expect("removed");
        let mut content = |what: &str, bytes: &[u8]| {
            fs::write(&file, bytes).expect("written");
            set_mode(&file, 0o600);
            try_it(what, &["key"]);
        };
        let other_role = if role == "receiver" { "sender" } else { "receiver" };
        let public = fs::read(workplace.path(&format!("{role}.key.pub"))).expect("a key file");
        let other = fs::read(workplace.path(&format!("{other_role}.key"))).unwrap_or_default();
        content("empty", b"");
        content("comments alone", b"# nothing\n\n");
        content("a public key", &public);
        content("another role's key", &other);
        content("two keys", format!("{line}\n{line}\n").as_bytes());
        content("small letters", line.to_lowercase().as_bytes());
        content("one sign less", &line.as_bytes()[..line.len() - 1]);
        content("one sign more", format!("{line}Q").as_bytes());
        content("no text", &[0xff, 0, 0x80, 7]);
        content("two megabytes", &vec![b'A'; 2 << 20]);
        content("its checksum alone is wrong", swapped(&line, line.len() - 1).as_bytes());
        fs::write(&file, &text).expect("written");
        fs::remove_file(&aside).expect("removed");
    }
    for (source, mode) in [("mounted", 0o666), ("mounted", 0o622), ("fd", 0o600)] {
        set_mode(&workplace.path("receiver.key"), mode);
        let _log = refused(&workplace, "receiver", &["--key-source", source]);
        cases.one();
    }
    set_mode(&workplace.path("receiver.key"), 0o600);
    let _ready = Receiver::start(&workplace, &["--models", &models()]);
}

#[test]
fn n29_one_typo_never_loads() {
    let mut cases = Cases::of("n29_one_typo_never_loads");
    let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
    let key = SecretKey::generate(latentwire_sealing::Role::Sender, &mut rng);
    let line = key.to_text().to_string();
    SecretKey::from_text(&line).expect("as it was written");
    for at in 0..line.len() {
        assert!(SecretKey::from_text(&swapped(&line, at)).is_err(), "a typo at {at} was read");
        cases.one();
        let mut shorter = line.clone();
        shorter.remove(at);
        assert!(SecretKey::from_text(&shorter).is_err(), "without sign {at}");
        cases.one();
    }
    for at in 0..line.len() - 1 {
        let mut bytes = line.clone().into_bytes();
        bytes.swap(at, at + 1);
        let text = String::from_utf8(bytes).expect("text");
        if text != line {
            assert!(SecretKey::from_text(&text).is_err(), "signs {at} and the next exchanged");
            cases.one();
        }
    }
}

/// Another sign of bech32's alphabet in one place.
fn swapped(line: &str, at: usize) -> String {
    let mut bytes = line.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'Q' { b'P' } else { b'Q' };
    String::from_utf8(bytes).expect("text")
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("an own file");
}
