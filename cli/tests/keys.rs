//! `latentwire keys`: what lies on the disk before, during and after a rotation.

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use support::{Folder, fields, latentwire, run};

const KEY: [&str; 3] = ["fingerprint", "public_key", "role"];

fn mode(folder: &Folder, name: &str) -> u32 {
    fs::metadata(folder.path(name)).expect("the file").permissions().mode() & 0o7777
}

fn public_key(file: &str) -> String {
    run(&["keys", "show", "--quiet", file], 0).out
}

#[test]
fn a_rotation_stages_swaps_and_keeps() {
    let folder = Folder::new();
    let key = folder.key("receiver", "receiver.key");
    let old = public_key(&key);
    let staged = run(&["keys", "rotate", "--json", &key], 0).object();
    assert_eq!(fields(&staged), ["new", "old", "staged_file", "staged_public_file"]);
    assert_eq!((fields(&staged["old"]), fields(&staged["new"])), (KEY.to_vec(), KEY.to_vec()));
    assert_eq!(staged["old"]["public_key"], old.trim());
    let next = folder.text("receiver.key.next");
    assert_eq!((staged["staged_file"].as_str(), mode(&folder, "receiver.key.next")), (Some(&*next), 0o600));
    let new = public_key(&next);
    assert_eq!((public_key(&key), staged["new"]["public_key"].as_str()), (old.clone(), Some(new.trim())));

    let before = folder.read("receiver.key.next");
    let refused = run(&["keys", "rotate", &key], 4).err;
    assert!(refused.contains("ROTATION_STAGED") && refused.contains("--finish"), "{refused}");
    assert_eq!(folder.read("receiver.key.next"), before, "nothing is overwritten");

    let finished = run(&["keys", "rotate", "--finish", "--json", &key], 0).object();
    assert_eq!(fields(&finished), ["new", "old", "retired_file"]);
    assert_eq!((public_key(&key), mode(&folder, "receiver.key")), (new.clone(), 0o600));
    assert_eq!(String::from_utf8(folder.read("receiver.key.pub")).expect("text"), new);
    let retired = finished["retired_file"].as_str().expect("a file");
    assert_eq!(public_key(retired), old);
    assert_eq!(fs::metadata(retired).expect("the file").permissions().mode() & 0o7777, 0o600);
    assert_eq!(folder.names().len(), 4, "two pairs: {:?}", folder.names());
    let refused = run(&["keys", "rotate", "--finish", &key], 4).err;
    assert!(refused.contains("NO_ROTATION_STAGED"), "{refused}");
}

#[test]
fn what_is_in_the_way_stays_and_what_is_open_to_others_is_refused() {
    let folder = Folder::new();
    let key = folder.key("sender", "sender.key");
    let public = folder.write("sender.key.next.pub", "mine\n");
    let refused = run(&["keys", "rotate", &key], 4).err;
    assert!(refused.contains("KEY_FILE") && refused.contains(&public), "{refused}");
    assert_eq!(folder.read("sender.key.next.pub"), b"mine\n");
    fs::remove_file(&public).expect("removed");

    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("permissions");
    let refused = run(&["keys", "rotate", &key], 4).err;
    assert!(refused.contains("open to others") && refused.contains("chmod 600"), "{refused}");
    assert_eq!(folder.names(), ["sender.key", "sender.key.pub"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("permissions");

    let missing = folder.text("no-such.key");
    assert!(run(&["keys", "rotate", &missing], 4).err.contains(&missing));
    assert!(run(&["keys", "show", &folder.write("notes", "text")], 4).err.contains("KEY_FILE"));
    let lost = folder.text("no-such-folder/sender.key");
    assert!(run(&["keys", "generate", "--role", "sender", "-o", &lost], 4).err.contains(&lost));
}

/// Kills whatever is running after a while, as a power cut would; true if it had not ended by then.
fn kill_after(mut child: Child, pause: Duration) -> bool {
    thread::sleep(pause);
    let cut = child.try_wait().expect("a child can be waited for").is_none();
    // It may end between the two calls.
    let _ = child.kill();
    let _ended = child.wait().expect("a child can be waited for");
    cut
}

/// However early or late the kill comes: the key in force is whole, whatever bears a key's name is a whole key, and the
/// next run goes on from there.
#[test]
fn a_rotation_that_is_killed_anywhere_leaves_whole_keys_and_can_go_on() {
    let folder = Folder::new();
    let key = folder.key("sender", "sender.key");
    let first = public_key(&key);
    let mut cuts = 0;
    for round in 0..60_u64 {
        let finish = folder.path("sender.key.next").exists();
        let arguments: &[&str] =
            if finish { &["keys", "rotate", "--finish", &key] } else { &["keys", "rotate", &key] };
        let child = latentwire().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        cuts += u32::from(kill_after(child.expect("latentwire runs"), Duration::from_micros(150 * round)));
        let in_force = public_key(&key);
        for name in folder.names().into_iter().filter(|name| !name.starts_with('.')) {
            let shown = public_key(&folder.text(&name));
            let Some(secret) = name.strip_suffix(".pub") else {
                assert_eq!(mode(&folder, &name), 0o600, "{name}");
                continue;
            };
            // A finish swaps the secret key first: until the next run, the public half is the staged one still.
            let fits = shown == in_force
                || folder.path(secret).exists() && shown == public_key(&folder.text(secret));
            assert!(
                fits || name == "sender.key.pub" && folder.path("sender.key.next.pub").exists(),
                "{name}"
            );
        }
    }
    assert!(cuts > 0, "every run had ended before its kill: nothing was tried");
    if !folder.path("sender.key.next").exists() {
        run(&["keys", "rotate", &key], 0);
    }
    let next = public_key(&folder.text("sender.key.next"));
    run(&["keys", "rotate", "--finish", &key], 0);
    assert_eq!((public_key(&key), public_key(&folder.text("sender.key.pub"))), (next.clone(), next));
    let retired = folder
        .names()
        .into_iter()
        .filter(|name| name.contains("retired") && !name.starts_with('.') && !name.ends_with(".pub"));
    let retired: Vec<_> = retired.map(|name| public_key(&folder.text(&name))).collect();
    assert!(retired.contains(&first), "the first key is kept");
    let mut once = retired.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), retired.len(), "no key is kept twice");
}

/// While it waits for a key on standard input.
#[test]
fn no_core_dump_can_hold_a_key() {
    let mut child = latentwire()
        .args(["keys", "show", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("latentwire runs");
    let limits = format!("/proc/{}/limits", child.id());
    let off = (0..1_000).any(|_| {
        let text = fs::read_to_string(&limits).expect("it waits for its input");
        let core = text.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        let is_off = core.split_whitespace().filter(|word| *word == "0").count() == 2;
        if !is_off {
            thread::sleep(Duration::from_millis(10));
        }
        is_off
    });
    drop(child.stdin.take());
    child.wait().expect("it ends");
    assert!(off, "core dumps are on");
}
