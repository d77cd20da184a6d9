//! `latentwire` as a program: what it prints, what it writes, how it ends.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

fn latentwire(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latentwire"));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"LATENTWIRE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).output().expect("latentwire runs")
}

#[track_caller]
fn expect(arguments: &[&str], exit: i32) -> (String, String) {
    let output = latentwire(arguments);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}\n{out}\n{err}");
    (out, err)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn path(folder: &Path, name: &str) -> (PathBuf, String) {
    let path = folder.join(name);
    let text = path.to_str().expect("a path of ASCII letters").to_owned();
    (path, text)
}

/// An address of this machine where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("127.0.0.1 has free ports");
    format!("http://{}", listener.local_addr().expect("bound"))
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    // Noise over a ramp, so that the file is not smaller than its latent.
    let mut state = 1_u32;
    let mut pixel = |index: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u8::try_from(index % width * 128 / width + (state >> 25)).expect("below 256")
    };
    let pixels: Vec<u8> = (0..width * height).map(&mut pixel).collect();
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels)).expect("a picture");
    file
}

#[test]
fn help_names_the_commands_and_the_exit_codes() {
    let (help, _) = expect(&["--help"], 0);
    for part in [
        "keys",
        "trust",
        "send",
        "get",
        "list",
        "inspect",
        "contact-sheet",
        "Exit codes:",
        "cannot be reached",
    ] {
        assert!(help.contains(part), "{part} is missing from\n{help}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in [
        &["send"][..],
        &["send", "--min-ssim", "1.5", "x.png"],
        &["send", "--below-floor", "perhaps", "x.png"],
        &["send", "--quality-step", "24", "x.png"],
        &["send", "--transfer-id", "abc", "x.png"],
        &["send", "--sender", "ftp://127.0.0.1:1", "x.png"],
        &["send", "--sender", "nonsense", "x.png"],
        &["send", "--transfer-id", "00112233445566778899aabbccddeeff", "x.png", "y.png"],
        &["get", "00112233445566778899aabbccddeeff"],
        &["contact-sheet", "-o", "x.png"],
        &["keys", "generate", "--role", "both", "-o", "x"],
    ] {
        let (out, err) = expect(arguments, 2);
        assert!(out.is_empty() && err.contains("error"), "{arguments:?}\n{out}\n{err}");
    }
}

#[test]
fn a_key_pair_is_made_once_and_shown_from_either_file() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (secret, secret_text) = path(folder.path(), "sender.key");
    let (made, _) = expect(&["keys", "generate", "--role", "sender", "-o", &secret_text], 0);
    assert_eq!(fs::metadata(&secret).expect("the secret key").permissions().mode() & 0o777, 0o600);
    let public = fs::read_to_string(folder.path().join("sender.key.pub")).expect("the public key");
    assert!(
        public.starts_with("latentwire-public-key-1") && made.contains(public.trim()),
        "{public}\n{made}"
    );
    assert!(!made.contains("SECRET-KEY"), "the secret key is not printed");

    let (from_secret, _) = expect(&["keys", "show", &secret_text], 0);
    let (from_public, _) = expect(&["keys", "show", &format!("{secret_text}.pub")], 0);
    assert_eq!(from_secret, from_public);
    assert!(
        from_secret.contains("role:        sender") && from_secret.contains("fingerprint: "),
        "{from_secret}"
    );
    assert!(made.starts_with(&from_secret), "{made}");

    let before = fs::read(&secret).expect("the secret key");
    let (_, err) = expect(&["keys", "generate", "--role", "receiver", "-o", &secret_text], 4);
    assert!(err.contains("KEY_FILE") && err.contains("exists already"), "{err}");
    assert_eq!(fs::read(&secret).expect("the secret key"), before);

    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("permissions");
    let (_, err) = expect(&["keys", "show", &secret_text], 4);
    assert!(err.contains("open to others"), "{err}");
}

#[test]
fn a_peer_is_pinned_listed_and_removed() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (_, key) = path(folder.path(), "sender.key");
    let (store, store_text) = path(folder.path(), "trust.toml");
    expect(&["keys", "generate", "--role", "sender", "-o", &key], 0);
    let public = format!("{key}.pub");

    let wrong_role =
        ["trust", "add", &store_text, "--name", "clinic-a", "--key", &public, "--role", "receiver"];
    let (_, err) = expect(&wrong_role, 2);
    assert!(err.contains("does not fit") && !store.exists(), "{err}");

    let until = "2099-12-31T23:59:59Z";
    let add = ["trust", "add", &store_text, "--name", "clinic-a", "--key", &public, "--not-after", until];
    let (added, _) = expect(&add, 0);
    assert!(added.contains("clinic-a") && added.contains(until), "{added}");
    assert_eq!(expect(&["trust", "list", &store_text], 0).0, added);
    assert_eq!(
        fs::metadata(&store).expect("the store").permissions().mode() & 0o022,
        0,
        "others may not change it"
    );

    let (_, err) = expect(&add, 4);
    assert!(err.contains("TRUST_STORE"), "the same key twice: {err}");
    let (_, err) = expect(&["trust", "remove", &store_text, "--name", "clinic-z"], 4);
    assert!(err.contains("PEER_NOT_FOUND"), "{err}");
    let (rest, _) = expect(&["trust", "remove", &store_text, "--name", "clinic-a"], 0);
    assert!(!rest.contains("clinic-a"), "{rest}");
    let (_, err) =
        expect(&["trust", "add", &store_text, "--name", "x", "--key", &public, "--not-after", "soon"], 2);
    assert!(err.contains("--not-after"), "{err}");
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 3, "no temporary file is left");
}

#[test]
fn a_service_that_is_down_is_told_from_a_rejected_image() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (file, file_text) = path(folder.path(), "a.png");
    fs::write(&file, png(40, 30)).expect("file");
    let (out, err) = expect(&["send", "--json", "--sender", &nobody(), &file_text], 3);
    let object: Value = serde_json::from_str(&out).expect("one object");
    assert_eq!((&object["path"], &object["status"]), (&Value::from(file_text), &Value::from("rejected")));
    assert_eq!(object["error"]["code"], "UNAVAILABLE");
    assert_eq!(object["error"]["reason"], "SERVICE_UNREACHABLE");
    assert!(err.contains("UNAVAILABLE SERVICE_UNREACHABLE: cannot reach sender-svc"), "{err}");

    let (target, target_text) = path(folder.path(), "received.png");
    let id = "00112233445566778899aabbccddeeff";
    let (out, err) = expect(&["get", "--receiver", &nobody(), id, "-o", &target_text], 3);
    assert!(out.is_empty() && err.contains("cannot reach receiver-svc"), "{err}");
    assert!(!target.exists());
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "no temporary file is left");
    expect(&["list", "--receiver", &nobody()], 3);
}

#[test]
fn a_folder_without_pictures_is_a_wrong_command_line() {
    let folder = tempfile::tempdir().expect("temporary folder");
    fs::write(folder.path().join("notes.txt"), "text").expect("file");
    let (_, name) = path(folder.path(), "");
    let (_, err) = expect(&["send", "--sender", &nobody(), &name], 2);
    assert!(err.contains("no PNG, JPEG, TIFF or DICOM file"), "{err}");
}

#[test]
fn inspect_says_how_to_bring_a_missing_library() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (file, file_text) = path(folder.path(), "a.png");
    fs::write(&file, png(40, 30)).expect("file");
    let (_, err) = expect(&["inspect", "--onnxruntime", "no-such-library.so", &file_text], 4);
    assert!(err.contains("scripts/fetch-onnxruntime.sh") && err.trim().lines().count() == 1, "{err}");
    let (_, err) = expect(&["inspect", "--mode", "bounded", &file_text], 2);
    assert!(err.contains("FAILED_PRECONDITION NOT_ENABLED"), "{err}");
}

#[test]
fn a_contact_sheet_shows_the_pairs() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for side in ["sent", "received"] {
        fs::create_dir(folder.path().join(side)).expect("folder");
        fs::write(folder.path().join(side).join("a.png"), png(64, 48)).expect("file");
    }
    let (sheet, sheet_text) = path(folder.path(), "sheet.png");
    let (_, sent) = path(folder.path(), "sent");
    let (_, received) = path(folder.path(), "received");
    expect(&["contact-sheet", "-o", &sheet_text, "--original-dir", &sent, "--received-dir", &received], 0);
    assert!(fs::read(&sheet).expect("the sheet").starts_with(b"\x89PNG"));
    let pair = format!("{sent}/a.png={received}/a.png");
    expect(&["contact-sheet", "-o", &sheet_text, "--pairs", &pair], 0);
    let (_, err) =
        expect(&["contact-sheet", "-o", &sheet_text, "--pairs", &format!("{sent}/a.png={sent}/b.png")], 4);
    assert!(err.contains("LOCAL_FILE") && err.contains("b.png"), "{err}");
}

/// The tiny models of the codec's tests, and the library that `scripts/fetch-onnxruntime.sh` brought.
fn codec_flags() -> [String; 4] {
    let repository =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in a folder of the checkout");
    let library = fs::read_dir(repository.join(".onnxruntime"))
        .ok()
        .and_then(|mut entries| {
            entries.find_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                name.starts_with("libonnxruntime").then_some(name)
            })
        })
        .expect("ONNX Runtime is missing: run scripts/fetch-onnxruntime.sh");
    let models = repository.join("common/codec/tests/models/sound");
    let library = repository.join(".onnxruntime").join(library);
    let text = |path: PathBuf| path.to_str().expect("a path of ASCII letters").to_owned();
    ["--models".to_owned(), text(models), "--onnxruntime".to_owned(), text(library)]
}

fn inspect(flags: &[&str], files: &[&str], exit: i32) -> Vec<Value> {
    let codec = codec_flags();
    let mut arguments = vec!["inspect", "--json"];
    arguments.extend(codec.iter().map(String::as_str));
    arguments.extend(flags);
    arguments.extend(files);
    let (out, _) = expect(&arguments, exit);
    out.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

#[test]
fn inspect_prints_the_fields_of_send_without_a_service() {
    const FIELDS: [&str; 19] = [
        "path",
        "transfer_id",
        "status",
        "mode",
        "model",
        "mark",
        "modality",
        "width",
        "height",
        "frames",
        "original_bytes",
        "raw_bytes",
        "coded_bytes",
        "sealed_bytes",
        "ssim",
        "min_local_ssim",
        "psnr_db",
        "max_abs_error",
        "timings_ms",
    ];
    let folder = tempfile::tempdir().expect("temporary folder");
    let (file, file_text) = path(folder.path(), "a.png");
    fs::write(&file, png(160, 128)).expect("file");
    let (other, other_text) = path(folder.path(), "notes.txt");
    fs::write(&other, "no picture").expect("file");

    let marked = ["--model", "blur-other", "--below-floor", "send-marked"];
    let objects = inspect(&marked, &[&file_text, &other_text], 1);
    assert_eq!(objects.len(), 2);
    let latent = objects[0].as_object().expect("an object");
    assert_eq!(latent.keys().collect::<std::collections::BTreeSet<_>>().len(), FIELDS.len());
    assert!(FIELDS.iter().all(|field| latent.contains_key(*field)), "{latent:?}");
    assert_eq!((&latent["status"], &latent["mode"]), (&Value::from("would_send"), &Value::from("latent")));
    assert_eq!((&latent["width"], &latent["raw_bytes"]), (&Value::from(160), &Value::from(160 * 128)));
    let similarity = latent["ssim"].as_f64().expect("it was measured");
    assert!(
        (0.0..=1.0).contains(&similarity) && latent["timings_ms"]["decode"].as_f64() > Some(0.0),
        "{latent:?}"
    );
    assert_eq!(objects[1]["error"]["reason"], "UNKNOWN_FORMAT");
    assert_eq!(objects[1]["status"], "rejected");

    let exact = &inspect(&["--mode", "exact"], &[&file_text], 0)[0];
    assert_eq!((&exact["mode"], &exact["ssim"]), (&Value::from("exact"), &Value::from(1.0)));
    assert_eq!((&exact["psnr_db"], &exact["max_abs_error"]), (&Value::Null, &Value::from(0)));

    let floor = ["--model", "blur-other", "--min-ssim", "1", "--below-floor", "reject"];
    let below = &inspect(&floor, &[&file_text], 1)[0];
    assert_eq!(below["error"]["reason"], "FIDELITY_BELOW_FLOOR");
    assert_eq!(below["error"]["code"], "FAILED_PRECONDITION");
}
