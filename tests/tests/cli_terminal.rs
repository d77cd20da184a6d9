//! What `latentwire` writes for people does nothing to their terminal, whatever a file is called.

use std::fs;

use latentwire_tests::{Link, Run, pictures};

#[test]
fn a_name_cannot_speak_to_the_terminal() {
    let link = Link::open();
    let folder = link.workplace.new_folder("in");
    let hostile = "we\nird\u{1b}[2J\u{202e}gnp.png";
    fs::write(folder.join(hostile), pictures::noise_png(90, 80)).expect("written");
    fs::write(folder.join(format!("cut {hostile}")), &pictures::noise_png(90, 80)[..100]).expect("written");
    let (sender, folder) = (format!("http://{}", link.sender.address), folder.to_string_lossy().into_owned());

    let run = Run::latentwire(["send", "--sender", &sender, &folder]);
    assert_eq!(run.exit, 1, "{run:?}");
    let name = r"we\nird\u{1b}[2J\u{202e}gnp.png";
    assert!(run.out.matches(name).count() >= 3, "two rows, and why one travels exact: {run:?}");
    assert!(run.err.contains(&format!("cut {name}: ")), "{run:?}");
    let said = format!("{}{}", run.out, run.err);
    assert!(!said.contains(['\u{1b}', '\u{202e}']) && !said.contains("\nird"), "{said:?}");

    let run = Run::latentwire(["send", "--json", "--sender", &sender, &folder]);
    let mut names: Vec<_> = run.objects().iter().map(|object| object["path"].to_string()).collect();
    names.sort_unstable();
    assert!(
        names.iter().all(|name| name.contains(r"we\nird\u001b[2J")),
        "JSON keeps the name as it is: {names:?}"
    );
}
