//! What the commands print that need no service: the fields of `--json`, and the silence of `--quiet`.

mod support;

use std::fs;

use serde_json::Value;
use support::{Folder, fields, models, onnxruntime, png, repository, run};

const KEY: [&str; 3] = ["fingerprint", "public_key", "role"];

/// Checks that the page names the fields of an object.
#[track_caller]
fn on_page(command: &str, object: &Value) {
    let page = fs::read_to_string(repository().join("docs/CLI.md")).expect("docs/CLI.md");
    let row =
        page.split(&format!("\n| {command} |")).nth(1).unwrap_or_else(|| panic!("no row for {command}"));
    let row = row.lines().next().unwrap_or_default();
    for field in fields(object) {
        assert!(row.contains(&format!("`{field}`")), "docs/CLI.md: {command} has no {field}: {row}");
    }
}

#[test]
fn keys_have_their_fields() {
    let folder = Folder::new();
    let key = folder.text("sender.key");
    let made = run(&["keys", "generate", "--json", "--role", "sender", "-o", &key], 0).object();
    assert_eq!(fields(&made), ["fingerprint", "public_file", "public_key", "role", "secret_file"]);
    assert_eq!((made["secret_file"].as_str(), made["role"].as_str()), (Some(&*key), Some("sender")));
    let shown = run(&["keys", "show", "--json", &key], 0).object();
    assert_eq!(fields(&shown), KEY);
    on_page("`keys generate`", &made);
    on_page("`keys show`", &shown);
    on_page("`keys rotate`", &run(&["keys", "rotate", "--json", &key], 0).object());
    on_page("`keys rotate`", &run(&["keys", "rotate", "--finish", "--json", &key], 0).object());
    let store = folder.text("trust.toml");
    let public = format!("{key}.pub");
    let pinned = run(&["trust", "add", "--json", &store, "--name", "clinic-a", "--key", &public], 0).object();
    on_page("`trust add`, `list`, `remove`, `revoke`", &pinned);
    for field in KEY {
        assert_eq!(shown[field], made[field]);
    }
}

#[test]
fn models_have_their_fields_whether_they_load_or_not() {
    const FIELDS: [&str; 13] = [
        "certified",
        "decoder_bytes",
        "decoder_digest",
        "encoder_bytes",
        "family",
        "folder",
        "id",
        "licence",
        "loads",
        "modality",
        "problem",
        "purpose",
        "tables_bytes",
    ];
    let folder = Folder::new();
    let library = onnxruntime();
    for model in ["haar-chest", "blur-other"] {
        fs::create_dir_all(folder.path("models").join(model)).expect("folder");
        for file in fs::read_dir(models().join(model)).expect("the model") {
            let file = file.expect("an entry");
            fs::copy(file.path(), folder.path("models").join(model).join(file.file_name())).expect("copied");
        }
    }
    let place = folder.text("models");
    let arguments =
        |extra: &str| ["models", "--models", &place, "--onnxruntime", &library, extra].map(str::to_owned);
    let list = |extra: &str, exit: i32| run(&arguments(extra).each_ref().map(String::as_str), exit);
    for model in list("--json", 0).objects() {
        on_page("`models`", &model);
        assert_eq!(fields(&model), FIELDS);
        assert!(model["loads"] == true && model["problem"].is_null(), "{model}");
        assert_eq!(model["decoder_digest"].as_str().map(str::len), Some(64), "{model}");
    }
    fs::write(folder.path("models/haar-chest/decoder.onnx"), "no net").expect("written");
    let broken = list("--json", 1);
    let objects = broken.objects();
    assert_eq!(objects.iter().map(|model| model["loads"] == true).collect::<Vec<_>>(), [true, false]);
    assert!(objects.iter().all(|model| fields(model) == FIELDS) && objects[1]["problem"].is_string());
    assert!(broken.err.contains("haar-chest"), "{}", broken.err);
    assert_eq!(list("--quiet", 1).out, "blur-other\n", "only those that load");
}

#[test]
fn a_contact_sheet_says_where_it_is() {
    let folder = Folder::new();
    let (picture, sheet) = (folder.write("a.png", png(64, 48)), folder.text("sheet.png"));
    let pair = format!("{picture}={picture}");
    let made = run(&["contact-sheet", "--json", "-o", &sheet, "--pairs", &pair], 0).object();
    assert_eq!((fields(&made), &made["pairs"]), (vec!["pairs", "path"], &1.into()));
    on_page("`contact-sheet`", &made);
    let nothing = ["doctor", "--json", "--models", "no-such-folder", "--onnxruntime", "no-such-library.so"];
    for finding in run(&nothing, 1).objects() {
        on_page("`doctor`", &finding);
    }
}

#[test]
fn quiet_runs_that_succeed_print_nothing() {
    let folder = Folder::new();
    let (key, store) = (folder.text("sender.key"), folder.text("trust.toml"));
    let (public, picture) = (format!("{key}.pub"), folder.write("a.png", png(64, 48)));
    let (pair, sheet) = (format!("{picture}={picture}"), folder.text("sheet.png"));
    let (models, library, man) = (models().display().to_string(), onnxruntime(), folder.text("man"));
    let codec = ["--models", &models, "--onnxruntime", &library];
    for arguments in [
        &["keys", "generate", "--role", "sender", "-o", &key][..],
        &["trust", "add", &store, "--name", "clinic-a", "--key", &public],
        &["trust", "revoke", &store, "--name", "clinic-a"],
        &["trust", "remove", &store, "--name", "clinic-a"],
        &["keys", "rotate", &key],
        &["keys", "rotate", "--finish", &key],
        &["contact-sheet", "-o", &sheet, "--pairs", &pair],
        &[&["inspect", &picture], &codec[..]].concat(),
        &["man", "--output", &man],
    ] {
        let ran = run(&[&["--quiet"], arguments].concat(), 0);
        assert!(ran.out.is_empty() && ran.err.is_empty(), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn json_wins_over_quiet_and_colours_are_gone_unless_asked_for() {
    let folder = Folder::new();
    let key = folder.key("sender", "sender.key");
    assert_eq!(fields(&run(&["keys", "show", "--quiet", "--json", &key], 0).object()), KEY);
    let plain = run(&["keys", "show", &key], 0).out;
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let coloured = run(&["keys", "show", "--color", "always", &key], 0).out;
    assert!(coloured.contains("\u{1b}["), "{coloured:?}");
    let wrong = run(&["keys", "show", "--color=always", &folder.text("none")], 4).err;
    assert!(wrong.contains("\u{1b}["), "{wrong:?}");
    let mut command = support::latentwire();
    command.args(["keys", "show", &folder.text("none")]).env("NO_COLOR", "1");
    let wrong = support::ended(command.output().expect("latentwire runs"), &["keys"], 4).err;
    assert!(wrong.starts_with("error: ") && wrong.lines().count() == 1, "{wrong:?}");
}
