//! Models that serve research through both processes: by their id, marked, and only where the receiver's operator allows
//! them.

use std::fs;

use latentwire_codec::imaging;
use latentwire_tests::{Link, binaries, outcome};
use serde_json::Value;

const CHEST: &str = "chest_xray/test/hannover_1890031531.jpg";
const MARKED: [&str; 2] = ["--below-floor", "send-marked"];

/// The tiny models of the codec's tests, with two for research among them.
fn models() -> String {
    let folder = binaries::repository().join("common/codec/tests/models/sound");
    folder.to_str().expect("a path of ASCII letters").to_owned()
}

fn link(sender: &[&str], receiver: &[&str]) -> Link {
    let models = models();
    let models = ["--models", &models];
    Link::open_with(&[&models, sender].concat(), &[&models, receiver].concat())
}

fn reason_and_message(object: &Value) -> (String, String) {
    let reason = outcome::check_rejected(object);
    (reason, object["error"]["message"].as_str().expect("a sentence").to_owned())
}

#[test]
fn neither_end_uses_them_unless_it_is_told_to() {
    // A receiver that allows everything else, and a sender that loads all there is.
    let careful = link(&["--research-models"], &["--allow-research", "chaos4,rows"]);
    let sample = binaries::sample(CHEST);
    for model in ["whole-dense", "soften-chest"] {
        let object = careful.send(&[&sample], &[&MARKED[..], &["--model", model]].concat()).object();
        let (reason, message) = reason_and_message(&object);
        assert_eq!(reason, "MODEL_MISMATCH", "{object}");
        assert!(message.contains("allow research models at the receiver"), "{message}");
        let unmarked = careful.send(&[&sample], &["--model", model]).object();
        let (reason, message) = reason_and_message(&unmarked);
        assert_eq!(reason, "INVALID_POLICY", "{unmarked}");
        assert!(message.contains("send-marked"), "{message}");
    }
    assert!(careful.receiver.list().expect_success().objects().is_empty(), "nothing was stored");
    // Whatever is sent without naming them goes as ever.
    for flags in [&[][..], &MARKED] {
        let object = careful.send(&[&sample], flags).expect_success().object();
        outcome::check_delivered(&object);
        assert!(!["whole-dense", "soften-chest"].contains(&object["model"].as_str().unwrap_or_default()));
    }

    let plain = link(&[], &["--allow-research", "models"]);
    let object = plain.send(&[&sample], &[&MARKED[..], &["--model", "whole-dense"]].concat()).object();
    let (reason, message) = reason_and_message(&object);
    assert_eq!(reason, "MODEL_MISMATCH", "{object}");
    assert!(message.contains("--research-models"), "{message}");
}

#[test]
fn what_they_make_is_marked_at_both_ends_and_in_the_file() {
    let link = link(&["--research-models"], &["--allow-research", "models,rows"]);
    let dicom = "dicom/chest_cr_8bit.dcm";
    for (name, model, mark, more) in [
        (CHEST, "whole-dense", "research", &[][..]),
        (dicom, "whole-dense", "research", &["--segment", "row"]),
        (CHEST, "soften-chest", "denoised", &[]),
        (dicom, "soften-chest", "denoised", &[]),
    ] {
        let flags = [&MARKED[..], &["--model", model], more].concat();
        let sent = link.send(&[binaries::sample(name)], &flags).expect_success().object();
        assert_eq!((&sent["model"], &sent["mark"]), (&model.into(), &mark.into()), "{sent}");
        let id = sent["transfer_id"].as_str().expect("an id").to_owned();
        let objects = link.receiver.list().expect_success().objects();
        let kept = objects.iter().find(|image| image["transfer_id"] == id.as_str()).expect("it is kept");
        assert_eq!((&kept["model"], &kept["mark"]), (&model.into(), &mark.into()), "{kept}");

        let target = link.workplace.path(&format!("{id}.bin"));
        assert_eq!(link.get(&id, &target).expect_success().exit, 0);
        let file = fs::read(&target).expect("the file");
        let picture = imaging::read(&file, &imaging::Limits::default()).expect("a picture");
        assert_eq!(Some(u64::from(picture.pixels.width)), sent["width"].as_u64());
        if name == dicom {
            let words = format!("Latentwire learned lossy compression, marked {mark}, model {model}");
            assert!(file.windows(words.len()).any(|window| window == words.as_bytes()), "{name}: {words}");
        }
    }
}
