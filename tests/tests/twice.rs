//! The same transfer again: done, and stored once. The same id with another content: a conflict.

use std::fs;

use latentwire_tests::{Link, binaries, client, outcome, pictures};

const FUNDUS: &str = "fundus/test/idrid_2cfe12be46.jpg";
const OTHER: &str = "fundus/test/chase_2846f819cd.jpg";

#[test]
fn a_transfer_sent_again_is_done_and_stored_once() {
    let link = Link::shared();
    let id = "0123456789abcdef0123456789abcdef";
    let send = |mode: &str| {
        let run = link.send(&[binaries::sample(FUNDUS)], &["--transfer-id", id, "--mode", mode]);
        let object = run.expect_success().object();
        outcome::check_delivered(&object);
        object
    };
    let first = send("exact");
    let stored = images(&link, id);
    assert_eq!(stored.len(), 1);
    let second = send("exact");
    assert_eq!(first["transfer_id"], second["transfer_id"]);
    assert_eq!(second["mode"], "exact");
    // Content is what the file holds: another way to code it is the same image still.
    let third = send("latent");
    assert_eq!(third["mode"], "exact", "what is stored is what must be reported: {third}");
    let again = images(&link, id);
    assert_eq!(again, stored, "the image was stored again, or changed");
}

#[test]
fn an_id_that_is_known_with_other_content_is_a_conflict() {
    let link = Link::shared();
    let id = "fedcba9876543210fedcba9876543210";
    let _first = link.send(&[binaries::sample(FUNDUS)], &["--transfer-id", id]).expect_success();
    let stored = images(&link, id);
    let second = link.send(&[binaries::sample(OTHER)], &["--transfer-id", id]);
    assert_eq!(second.exit, 1, "{second:?}");
    let object = second.object();
    assert_eq!(outcome::check_rejected(&object), "TRANSFER_CONFLICT");
    assert_eq!(object["error"]["code"], "ALREADY_EXISTS", "{object}");
    assert_eq!(images(&link, id), stored, "the first image must stand as it was");
    let target = link.workplace.path("after-conflict");
    let _got = link.get(id, &target).expect_success();
    let (kept, sent) = (pictures::read(&target).pixels, pictures::read(&binaries::sample(FUNDUS)).pixels);
    assert_eq!((kept.width, kept.height), (sent.width, sent.height));
    // Nor does the conflict bar the image from the id that it already has.
    let _first_again = link.send(&[binaries::sample(FUNDUS)], &["--transfer-id", id]).expect_success();
}

#[test]
fn the_same_file_under_two_ids_is_two_images() {
    let link = Link::shared();
    let path = link.workplace.write("two-ids.png", &pictures::noise_png(64, 48));
    let ids = ["11".repeat(16), "22".repeat(16)];
    for id in &ids {
        let _sent = link.send(&[&path], &["--transfer-id", id, "--mode", "exact"]).expect_success();
        let target = link.workplace.path("two-ids");
        let _got = link.get(id, &target).expect_success();
        assert!(fs::read(&target).expect("the received file") == fs::read(&path).expect("the sent file"));
    }
    assert_ne!(images(&link, &ids[0])[0].image_id, images(&link, &ids[1])[0].image_id);
}

#[test]
fn the_same_transfer_over_two_calls_at_once_is_stored_once() {
    let link = Link::shared();
    let id = "33".repeat(16);
    let path = [binaries::sample(OTHER)];
    let begun: Vec<_> = (0..3).map(|_| link.sender.begin_send(&path, &["--transfer-id", &id])).collect();
    for run in begun {
        outcome::check_delivered(&run.end().expect_success().object());
    }
    assert_eq!(images(&link, &id).len(), 1);
}

fn images(link: &Link, id: &str) -> Vec<latentwire_proto::v1::Image> {
    let listed = client::list_images(link.receiver.images);
    listed.into_iter().filter(|image| hex::encode(&image.transfer_id) == id).collect()
}
