//! Which files `send` takes: patterns, names with blanks, the list of `--resume`. No service runs, so each is rejected by name.

mod support;

use std::{fs::File, net::SocketAddr};

use support::{Folder, nobody, png, run};

/// The files that a send takes, by the objects that say that they could not be sent.
fn taken(folder: &Folder, paths: &[&str], extra: &[&str]) -> Vec<String> {
    let sender = format!("http://{}", nobody());
    let paths: Vec<String> = paths.iter().map(|path| folder.text(path)).collect();
    let mut arguments = vec!["send", "--json", "--sender", &sender];
    arguments.extend(extra);
    arguments.extend(paths.iter().map(String::as_str));
    let inside = folder.text("");
    let name = |path: &str| path.strip_prefix(&inside).expect("inside the folder").to_owned();
    let objects = run(&arguments, 3).objects();
    objects.iter().map(|object| name(object["path"].as_str().expect("text"))).collect()
}

fn pictures() -> Folder {
    let folder = Folder::new();
    for name in
        ["left eye.png", "right eye.png", "Ü ber/a b.png", "deep/er/c.png", "*.png", "[1].png", "-x.png"]
    {
        folder.write(name, png(8, 8));
    }
    folder.write("notes.txt", "text");
    folder
}

#[test]
fn patterns_and_names_with_blanks_are_taken_as_written() {
    let folder = pictures();
    assert_eq!(taken(&folder, &["left eye.png"], &[]), ["left eye.png"]);
    assert_eq!(taken(&folder, &["* eye.png"], &[]), ["left eye.png", "right eye.png"]);
    assert_eq!(taken(&folder, &["*/a b.png"], &[]), ["Ü ber/a b.png"]);
    assert_eq!(taken(&folder, &["**/?.png"], &[]), ["*.png", "deep/er/c.png"]);
    assert_eq!(taken(&folder, &["*.png"], &[]), ["*.png"], "a file of that very name is meant itself");
    assert_eq!(taken(&folder, &["[1].png"], &[]), ["[1].png"]);
    assert_eq!(taken(&folder, &["notes.txt"], &[]), ["notes.txt"], "a named file is always taken");
    assert_eq!(taken(&folder, &[""], &[]).len(), 7, "a folder gives its pictures alone");
}

#[test]
fn a_pattern_that_matches_nothing_and_one_that_is_none_are_wrong_command_lines() {
    let folder = pictures();
    for (pattern, said) in
        [("*.dcm", "matches no file"), ("a***", "pattern"), ("[z-a].png", "matches no file")]
    {
        let path = folder.text(pattern);
        for command in ["send", "inspect"] {
            let ran = run(&[command, &path], 2);
            assert!(ran.out.is_empty() && ran.err.contains(said) && ran.err.contains(pattern), "{}", ran.err);
            assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        }
    }
}

#[test]
fn what_a_list_cannot_be_is_said_before_anything_is_sent() {
    let folder = pictures();
    let sender = format!("http://{}", nobody());
    let picture = folder.text("left eye.png");
    let send = |list: &str, exit: i32| {
        run(&["send", "--json", "--sender", &sender, "--resume", list, &picture], exit)
    };
    let other = folder.write("list.txt", "my own notes\n");
    let refused = send(&other, 4).err;
    assert!(refused.contains("RESUME_LIST") && refused.contains("line 1"), "{refused}");
    assert_eq!(folder.read("list.txt"), b"my own notes\n", "somebody's file is left alone");

    let list = folder.text("list.jsonl");
    let torn = "{\"path\":\"/a.png\",\"sha2";
    folder.write("list.jsonl", torn);
    let noted = send(&list, 3).err;
    assert!(noted.contains("its last line was torn"), "{noted}");
    assert_eq!(folder.read("list.jsonl"), b"", "nothing was begun");

    let held = File::open(&list).expect("the list");
    held.lock().expect("locked");
    let refused = send(&list, 4).err;
    assert!(refused.contains("ABORTED RESUME_LIST_IN_USE"), "{refused}");
    drop(held);
    for arguments in [&["--resume", &list, "-"][..], &["--watch", "x"], &["--watch", "--resume", &list, "-"]]
    {
        run(&[&["send"], arguments].concat(), 2);
    }
}

#[test]
fn a_watch_of_what_is_not_there_or_by_a_wrong_address_ends_at_once() {
    let folder = pictures();
    let list = folder.text("list.jsonl");
    let inbox = folder.text("");
    let missing = folder.text("no-such-inbox");
    let ran = run(&["send", "--watch", "--resume", &list, &missing], 4);
    assert!(ran.err.contains("NOT_FOUND LOCAL_FILE") && ran.err.contains(&missing), "{}", ran.err);
    let nowhere: SocketAddr = nobody();
    let sender = format!("ftp://{nowhere}");
    let ran = run(&["send", "--watch", "--resume", &list, "--sender", &sender, &inbox], 2);
    assert!(ran.err.contains("error: INVALID_ARGUMENT USAGE"), "{}", ran.err);
    let sender = format!("https://{nowhere}");
    let ran = run(&["send", "--watch", "--resume", &list, "--sender", &sender, &inbox], 4);
    assert!(ran.err.contains("FAILED_PRECONDITION CREDENTIALS") && ran.err.contains("--ca"), "{}", ran.err);
}
