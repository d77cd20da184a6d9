//! Nets whose output is no number: the image is refused, or travels exact; neither service falls.

use latentwire_tests::{Link, Receiver, Sender, Workplace, binaries, client, outcome, pictures};

/// Models made for the codec's tests.
fn models(name: &str) -> String {
    let folder = binaries::repository().join("common/codec/tests/models").join(name);
    assert!(folder.is_dir(), "{} is missing from the checkout", folder.display());
    folder.to_str().expect("a path").to_owned()
}

#[test]
fn a_senders_net_that_gives_no_numbers_refuses_the_image() {
    for name in ["nan-encoder", "nan-decoder"] {
        let link = Link::open_with(&["--models", &models(name)], &[]);
        let picture = link.workplace.write("picture.png", &pictures::noise_png(64, 64));
        let run = link.send(&[&picture], &["--below-floor", "send-marked"]);
        assert_eq!(run.exit, 1, "{name}: {run:?}");
        let object = run.object();
        assert_eq!(outcome::check_rejected(&object), "INTERNAL", "{name}: {object}");
        assert!(client::list_images(link.receiver.images).is_empty(), "{name}");
        let exact = link.send(&[&picture], &["--mode", "exact"]).expect_success().object();
        outcome::check_delivered(&exact);
        assert!(!link.sender.service.log().contains("panicked"), "{}", link.sender.service.log());
    }
}

#[test]
fn a_receivers_net_that_gives_no_numbers_stores_no_latent() {
    let workplace = Workplace::new();
    let models = models("nan-decoder");
    let receiver = Receiver::start(&workplace, &["--models", &models]);
    let sender = Sender::start(&workplace, receiver.transfer, &["--models", &models, "--withhold-decoder"]);
    let picture = workplace.write("picture.png", &pictures::noise_png(64, 64));
    let run = sender.send(&[&picture], &["--below-floor", "send-marked"]);
    let object = run.object();
    let stored = client::list_images(receiver.images);
    if run.exit == 0 {
        // The receiver asked for the exact form of the same transfer.
        outcome::check_delivered(&object);
        assert_eq!(object["mode"], "exact", "{object}");
        assert_eq!(stored.len(), 1);
    } else {
        let _reason = outcome::check_rejected(&object);
        assert!(stored.is_empty(), "{stored:?}");
    }
    let exact = sender.send(&[&picture], &["--mode", "exact"]).expect_success().object();
    outcome::check_delivered(&exact);
    assert!(!receiver.service.log().contains("panicked"), "{}", receiver.service.log());
}
