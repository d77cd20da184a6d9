//! The papers' split: a sender that holds no decoder measures nothing, promises nothing, and says so.

use latentwire_codec::imaging;
use latentwire_proto::v1::{ListModelsRequest, Mode};
use latentwire_tests::{Link, binaries, client, outcome, pictures};

const FUNDUS: &str = "fundus/test/idrid_2cfe12be46.jpg";

#[test]
fn a_sender_without_decoders_sends_unmeasured_images() {
    let link = Link::open_with(&["--withhold-decoder"], &[]);
    let models = client::block_on(async {
        let mut client = client::send_service(link.sender.address).await;
        client.list_models(ListModelsRequest {}).await.expect("models are listed").into_inner().models
    });
    assert!(!models.is_empty() && models.iter().all(|model| model.encoder && !model.decoder), "{models:?}");

    let sample = binaries::sample(FUNDUS);
    let object = link
        .send(&[&sample], &["--modality", "fundus", "--below-floor", "send-marked"])
        .expect_success()
        .object();
    assert_eq!((&object["status"], &object["mode"]), (&"delivered".into(), &"latent".into()), "{object}");
    assert_eq!(object["model"], "ae224-fundus", "{object}");
    for figure in ["ssim", "min_local_ssim", "psnr_db", "max_abs_error"] {
        assert!(object[figure].is_null(), "{figure} was not measured: {object}");
    }
    let images = client::list_images(link.receiver.images);
    let summary = images[0].image.as_ref().expect("a summary");
    assert_eq!(images.len(), 1);
    assert!(!summary.measured && summary.fidelity.is_none(), "{summary:?}");
    assert_eq!(summary.mode(), Mode::Latent);
    assert!(images[0].verdict.to_lowercase().contains("unmeasured"), "{}", images[0].verdict);

    let target = link.workplace.path("split.png");
    let _got = link.get(object["transfer_id"].as_str().expect("an id"), &target).expect_success();
    let (sent, received) = (pictures::read(&sample).pixels, pictures::read(&target).pixels);
    let fidelity = imaging::measure(&sent, &received).expect("pictures of one shape can be measured");
    assert!(fidelity.ssim > 0.8, "{fidelity:?}");

    // A floor that was asked for cannot be promised: the image is refused, not sent below it unseen.
    let refused =
        link.send(&[&sample], &["--modality", "fundus", "--min-ssim", "0.9", "--below-floor", "reject"]);
    assert_eq!(refused.exit, 1, "{refused:?}");
    assert_eq!(outcome::check_rejected(&refused.object()), "FIDELITY_UNMEASURABLE");
    // Exact needs no decoder.
    let exact = link.send(&[&sample], &["--mode", "exact"]).expect_success().object();
    outcome::check_delivered(&exact);
}
