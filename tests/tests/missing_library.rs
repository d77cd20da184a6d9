//! Without ONNX Runtime's library every program says the same clear sentence with the command that mends it.

use std::{ffi::OsString, time::Duration};

use latentwire_tests::{
    Receiver, Sender, Workplace, binaries,
    process::{Service, command, free_address},
};

/// What mends it.
const REMEDY: &str = "scripts/fetch-onnxruntime.sh";
/// Begin of the sentence.
const SENTENCE: &str = "ONNX Runtime's library";

#[test]
fn a_service_without_the_library_ends_with_one_sentence() {
    let workplace = Workplace::new();
    let nowhere = workplace.path("no-such-library.so");
    let named = ["--onnxruntime", nowhere.to_str().expect("a path")];
    let data = workplace.path("receiver-data");
    for launch in [
        Sender::launch(&workplace, "sender.key", free_address(), free_address(), &named),
        Receiver::launch(&workplace, &data, free_address(), free_address(), &named),
        // Nor is it found anywhere in a folder without it.
        Sender::launch(&workplace, "sender.key", free_address(), free_address(), &[]),
        Receiver::launch(&workplace, &data, free_address(), free_address(), &[]),
    ] {
        let mut launch = launch;
        launch.folder = workplace.new_folder("elsewhere");
        launch.log = workplace.path("missing-library.log");
        let _fresh = std::fs::remove_file(&launch.log);
        let program = launch.program;
        let mut service = Service::spawn(launch);
        let status = service.exit_within(Duration::from_secs(30)).expect("it must end by itself");
        let log = service.log();
        assert!(!status.success(), "{log}");
        let last = log.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("{program}: ")), "{log}");
        assert!(last.contains(SENTENCE) && last.contains(REMEDY), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[test]
fn inspect_without_the_library_ends_with_the_same_sentence() {
    let workplace = Workplace::new();
    let sample = binaries::sample("fundus/test/idrid_2cfe12be46.jpg");
    let models = binaries::repository().join("models");
    let arguments: [OsString; 5] =
        ["inspect".into(), "--json".into(), "--models".into(), models.into(), sample.into()];
    let output = command("latentwire")
        .args(arguments)
        .current_dir(workplace.new_folder("elsewhere"))
        .output()
        .expect("latentwire can be started");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(4), "{out}\n{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.contains(SENTENCE) && err.contains(REMEDY), "{err}");
}
