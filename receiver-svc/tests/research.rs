//! Models that serve research at a receiver: refused unless allowed, and marked in what is kept.

mod support;

use latentwire_codec::{Codec, CodecConfig, Policy, Prepared};
use latentwire_proto::v1::get_image_request::Key;
use latentwire_proto::v1::{Image, ListImagesRequest, Mark};
use latentwire_wire::Reason;
use support::{Receiver, Site, codec_config, deliver, latent_policy, outgoing, sample};

const CHEST: &str = "chest_xray/test/hannover_1890031531.jpg";

/// A chest picture through a model of the sender's, which loads all there are.
fn coded(model: &str) -> Prepared {
    let codec = Codec::load(&CodecConfig { research: true, ..codec_config() }).expect("the models load");
    let policy = Policy { model: Some(model.to_owned()), ..latent_policy() };
    codec.prepare(&sample(CHEST), &policy).expect("coded")
}

async fn images(receiver: &Receiver) -> Vec<Image> {
    let listed = receiver.images.clone().list_images(ListImagesRequest::default()).await;
    listed.expect("listed").into_inner().images
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn research_models_are_refused_unless_they_are_allowed() {
    let site = Site::new();
    for allowed in [&[][..], &["--allow-research", "chaos4,rows"]] {
        let receiver = site.start(allowed).await;
        let uplink = site.uplink(&receiver).await.expect("a session");
        for (id, model) in [(1, "whole-dense"), (2, "soften-chest")] {
            let error = deliver(&uplink, outgoing([id; 16], &coded(model))).await.expect_err("refused");
            assert_eq!(error.reason(), Reason::ModelMismatch, "{model}: {error}");
            assert!(Reason::ModelMismatch.sentence().contains("allow research models at the receiver"));
        }
        assert!(images(&receiver).await.is_empty());
        deliver(&uplink, outgoing([9; 16], &coded("haar-chest"))).await.expect("any other model is taken");
        uplink.close().await;
        for image in images(&receiver).await {
            let request = latentwire_proto::v1::DeleteImageRequest { image_id: image.image_id };
            receiver.images.clone().delete_image(request).await.expect("deleted");
        }
        receiver.stop().await.expect("drained");
        std::fs::remove_dir_all(site.data()).expect("a store of its own each time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_research_model_made_is_marked_whatever_the_sender_says() {
    let site = Site::new();
    let receiver = site.start(&["--allow-research", "models"]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    let floors = latentwire_codec::Floors { max_abs_error: Some(0), ..latentwire_codec::Floors::NONE };
    let mut below = coded("haar-chest");
    for (id, model, mark) in [
        (1, "whole-dense", Mark::Research),
        (2, "soften-chest", Mark::Denoised),
        (3, "haar-chest", Mark::Unspecified),
    ] {
        let prepared = coded(model);
        let mut silent = outgoing([id; 16], &prepared);
        if let Some(image) = &mut silent.meta.image {
            assert_eq!(image.mark(), mark, "{model}");
            image.set_mark(Mark::Unspecified);
        }
        deliver(&uplink, silent).await.expect("allowed");
        let (header, file) = receiver.get(Key::TransferId(vec![id; 16].into())).await.expect("kept");
        let kept = header.image.and_then(|image| image.image).expect("a summary");
        assert_eq!((kept.mark(), kept.model.as_str()), (mark, model));
        assert!(!file.is_empty());
    }
    // Of a floor the sender alone knows.
    below.report.mark = (!floors.hold(&below.report.fidelity.expect("measured")))
        .then_some(latentwire_codec::Mark::BelowFloor);
    deliver(&uplink, outgoing([4; 16], &below)).await.expect("taken");
    let marks: Vec<_> =
        images(&receiver).await.iter().map(|image| image.image.as_ref().map(|i| i.mark())).collect();
    let newest_first = [Mark::BelowFloor, Mark::Unspecified, Mark::Denoised, Mark::Research];
    assert_eq!(marks, newest_first.map(Some));
    uplink.close().await;
    receiver.stop().await.expect("drained");
}
