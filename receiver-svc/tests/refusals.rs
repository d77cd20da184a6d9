//! What a receiver refuses, with which reason, and that nothing of it is kept and the service lives on.

mod support;

use latentwire_codec::{Codec, LatentCoding, Policy, Prepared};
use latentwire_proto::Bytes;
use latentwire_proto::v1::{self, ListImagesRequest};
use latentwire_service::sealing::{Form, InnerLayer, Role, TrustEntry};
use latentwire_wire::{Outgoing, Reason, Segmentation, Uplink, Verdict, WireError};
use support::{Receiver, Site, codec, deliver, exact_policy, latent_policy, new_key, outgoing, sample};

const FUNDUS: &str = "fundus/test/chase_2846f819cd.jpg";
const CHEST: &str = "chest_xray/test/hannover_1890031531.jpg";

fn exact(codec: &Codec) -> Prepared {
    codec.prepare(&sample(FUNDUS), &exact_policy()).expect("coded")
}

/// A latent of a model whose decoder is certified.
fn certified(codec: &Codec) -> Prepared {
    let policy = Policy { model: Some("haar-chest".to_owned()), ..latent_policy() };
    codec.prepare(&sample(CHEST), &policy).expect("coded")
}

/// Rows of the raw latent of the same model.
fn rows_policy() -> Policy {
    Policy { model: Some("haar-chest".to_owned()), latent_coding: LatentCoding::RawRows, ..latent_policy() }
}

async fn refused(uplink: &Uplink, outgoing: Outgoing) -> Reason {
    deliver(uplink, outgoing).await.expect_err("refused").reason()
}

/// The receiver holds so many images, no file more, and still takes the next one.
async fn lives_on_with(site: &Site, receiver: &Receiver, codec: &Codec, images: usize) {
    let listed = receiver.images.clone().list_images(ListImagesRequest::default()).await.expect("listed");
    assert_eq!(listed.into_inner().images.len(), images);
    assert_eq!(std::fs::read_dir(site.data().join("tmp")).expect("there").count(), 0);
    let mut probe = [0xee; 16];
    getrandom::fill(&mut probe).expect("random");
    let uplink = site.uplink(receiver).await.expect("a session");
    deliver(&uplink, outgoing(probe, &exact(codec))).await.expect("the next image is taken");
    uplink.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_sender_and_a_wrong_receiver() {
    let (mut site, codec) = (Site::new(), codec());
    let receiver = site.start(&[]).await;
    let known = std::mem::replace(&mut site.sender, new_key(Role::Sender));
    let error = site.uplink(&receiver).await.err().expect("not on the list");
    assert_eq!(error.reason(), Reason::PeerNotAllowed, "{error}");
    site.sender = known;
    let right = std::mem::replace(&mut site.receiver, *new_key(Role::Receiver).public_key());
    let error = site.uplink(&receiver).await.err().expect("not this receiver");
    assert_eq!(error.reason(), Reason::HandshakeFailed, "{error}");
    site.receiver = right;
    lives_on_with(&site, &receiver, &codec, 0).await;
    receiver.stop().await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_a_full_disk_and_what_can_never_fit() {
    let (site, codec) = (Site::new(), codec());
    let file = exact(&codec);
    let one_fits = (file.coded.len() as u64 * 3 / 2).to_string();
    let receiver = site.start(&["--max-store-bytes", &one_fits]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    deliver(&uplink, outgoing([1; 16], &file)).await.expect("the first fits");
    assert_eq!(refused(&uplink, outgoing([2; 16], &file)).await, Reason::StorageFull);
    uplink.close().await;
    receiver.stop().await.expect("drained");

    let receiver = site.start(&["--max-store-bytes", "10000"]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    assert_eq!(refused(&uplink, outgoing([2; 16], &file)).await, Reason::TransferTooLarge);
    uplink.close().await;
    receiver.stop().await.expect("drained");

    let receiver = site.start(&["--min-free-bytes", "18000000000000000000"]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    assert_eq!(refused(&uplink, outgoing([2; 16], &file)).await, Reason::StorageFull);
    uplink.close().await;
    receiver.stop().await.expect("drained");

    let receiver = site.start(&[]).await;
    lives_on_with(&site, &receiver, &codec, 1).await;
    receiver.stop().await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_trust_store_does_not_allow() {
    let codec = codec();
    let restrict = |entry: &mut TrustEntry| {
        entry.allowed_forms = Some(vec![Form::Latent, Form::Exact]);
        entry.allowed_models = Some(vec!["mono-brain".to_owned()]);
    };
    let site = Site::with_entry(restrict);
    let receiver = site.start(&[]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    assert_eq!(refused(&uplink, outgoing([1; 16], &certified(&codec))).await, Reason::PeerNotAllowed);
    deliver(&uplink, outgoing([2; 16], &exact(&codec))).await.expect("needs no model");
    uplink.close().await;
    receiver.stop().await.expect("drained");

    let site = Site::with_entry(|entry| entry.allowed_forms = Some(vec![Form::Latent]));
    let receiver = site.start(&[]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    assert_eq!(refused(&uplink, outgoing([1; 16], &exact(&codec))).await, Reason::PeerNotAllowed);
    deliver(&uplink, outgoing([2; 16], &certified(&codec))).await.expect("allowed");
    uplink.close().await;
    receiver.stop().await.expect("drained");

    let file = exact(&codec);
    let one_fits = file.coded.len() as u64 * 3 / 2;
    let site = Site::with_entry(|entry| entry.max_bytes = Some(one_fits));
    let receiver = site.start(&[]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    deliver(&uplink, outgoing([1; 16], &file)).await.expect("the first fits");
    assert_eq!(refused(&uplink, outgoing([2; 16], &file)).await, Reason::StorageFull);
    uplink.close().await;
    receiver.stop().await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decoder_that_is_not_loaded() {
    let (site, codec) = (Site::new(), codec());
    let digest = codec.models().iter().find(|model| model.id == "mono-brain").expect("loaded").digest;
    let receiver = site.start(&["--model-pin", &digest.to_string()]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    assert_eq!(refused(&uplink, outgoing([1; 16], &certified(&codec))).await, Reason::ModelMismatch);
    uplink.close().await;
    lives_on_with(&site, &receiver, &codec, 0).await;
    receiver.stop().await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_does_not_hold_is_upgraded_to_the_exact_form() {
    let (site, codec) = (Site::new(), codec());
    let receiver = site.start(&[]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    let honest = deliver(&uplink, outgoing([1; 16], &certified(&codec))).await.expect("delivered");
    assert_eq!((honest.form, honest.verdict), (Form::Latent, Verdict::Equal));

    let lying = || {
        let mut lying = outgoing([2; 16], &certified(&codec));
        let certificate = lying.meta.certificate.as_mut().expect("certified");
        certificate.reconstruction_sha256 = Bytes::from(vec![0; 32]);
        lying
    };
    let error = deliver(&uplink, lying()).await.expect_err("there is no exact form");
    assert!(!matches!(error, WireError::Unavailable { .. }), "{error}");
    let upgraded = Outgoing {
        exact_fallback: Some(Box::new(|| {
            let codec = support::codec();
            let source = sample(CHEST);
            let exact = codec.prepare_exact(&source, "asked for").map_err(|error| error.to_string())?;
            Ok(outgoing([2; 16], &exact))
        })),
        ..lying()
    };
    let uplink = site.uplink(&receiver).await.expect("a session");
    let upgraded = deliver(&uplink, upgraded).await.expect("delivered in exact form");
    assert_eq!((upgraded.form, upgraded.verdict), (Form::Exact, Verdict::Exact));
    uplink.close().await;
    lives_on_with(&site, &receiver, &codec, 2).await;
    receiver.stop().await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uncertified_decoder_that_differs_is_recorded() {
    let (site, codec) = (Site::new(), codec());
    let receiver = site.start(&[]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    let policy = Policy { model: Some("haar-fundus".to_owned()), ..latent_policy() };
    let coded = codec.prepare(&sample(FUNDUS), &policy).expect("coded");
    let mut differs = outgoing([1; 16], &coded);
    differs.meta.certificate.as_mut().expect("stated").reconstruction_sha256 = Bytes::from(vec![0; 32]);
    assert_eq!(deliver(&uplink, differs).await.expect("delivered").verdict, Verdict::Differs);
    let unmeasured = Outgoing { transfer_id: [2; 16], ..outgoing([2; 16], &coded) };
    let mut unmeasured = unmeasured;
    unmeasured.meta.certificate = None;
    assert_eq!(deliver(&uplink, unmeasured).await.expect("delivered").verdict, Verdict::Unmeasured);
    uplink.close().await;
    let listed = receiver.images.clone().list_images(ListImagesRequest::default()).await.expect("listed");
    let verdicts: Vec<String> = listed.into_inner().images.into_iter().map(|image| image.verdict).collect();
    assert_eq!(verdicts, ["unmeasured", "differs"]);
    receiver.stop().await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn research_is_refused_unless_it_is_allowed_by_name() {
    let (site, codec) = (Site::new(), codec());
    let raw_rows = || codec.prepare(&sample(CHEST), &rows_policy()).expect("coded");
    let chaos = || Outgoing { inner_layer: InnerLayer::Chaos4, ..outgoing([1; 16], &certified(&codec)) };
    let rows = || outgoing([2; 16], &raw_rows());
    let receiver = site.start(&[]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    assert_eq!(refused(&uplink, chaos()).await, Reason::InnerLayerUnsupported);
    assert_eq!(refused(&uplink, rows()).await, Reason::SegmentationUnsupported);
    uplink.close().await;
    lives_on_with(&site, &receiver, &codec, 0).await;
    receiver.stop().await.expect("drained");

    let receiver = site.start(&["--allow-research", "rows,chaos4"]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    for allowed in [chaos(), rows()] {
        assert_eq!(deliver(&uplink, allowed).await.expect("delivered").verdict, Verdict::Equal);
    }
    let listed = receiver.images.clone().list_images(ListImagesRequest::default()).await.expect("listed");
    let told: Vec<_> = listed
        .into_inner()
        .images
        .into_iter()
        .filter_map(|image| image.image.map(|image| (image.inner_layer(), image.segmentation())))
        .collect();
    for expected in
        [(v1::InnerLayer::Chaos4, v1::Segmentation::Fixed), (v1::InnerLayer::None, v1::Segmentation::Row)]
    {
        assert!(told.contains(&expected), "{told:?}");
    }

    // Rows of what is no raw latent, and a raw latent that does not come in rows.
    let as_rows = Segmentation::Rows { head_bytes: 40, row_bytes: 4 };
    let mut entropy_coded = Outgoing { segmentation: as_rows, ..outgoing([3; 16], &certified(&codec)) };
    let whole_rows = (entropy_coded.coded.len() - 40) / 4 * 4;
    entropy_coded.coded.truncate(40 + whole_rows);
    assert_eq!(refused(&uplink, entropy_coded).await, Reason::InvalidTensor);
    let in_pieces = Outgoing { segmentation: Segmentation::Fixed, ..outgoing([4; 16], &raw_rows()) };
    assert_eq!(refused(&uplink, in_pieces).await, Reason::InvalidTensor);
    uplink.close().await;
    receiver.stop().await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coded_images_that_lie() {
    let (site, codec) = (Site::new(), codec());
    let receiver = site.start(&[]).await;

    // A latent whose entropy-coded part is cut: it does not decode, and without an exact form nothing is stored.
    let mut cut = certified(&codec);
    cut.coded.truncate(cut.coded.len() - 1);
    let mut cut_outgoing = outgoing([1; 16], &certified(&codec));
    cut_outgoing.coded = cut.coded.into();
    let uplink = site.uplink(&receiver).await.expect("a session");
    deliver(&uplink, cut_outgoing).await.expect_err("does not decode");

    // Announced as a latent of one model, coded by another.
    let mut other_digest = outgoing([2; 16], &certified(&codec));
    let models = codec.models();
    other_digest.decoder_digest =
        models.iter().find(|model| model.id == "mono-brain").expect("loaded").digest.0;
    let uplink = site.uplink(&receiver).await.expect("a session");
    assert_eq!(refused(&uplink, other_digest).await, Reason::InvalidTensor);

    // An exact form that is not the file whose digest it states.
    let mut other_source = outgoing([3; 16], &exact(&codec));
    other_source.source_sha256 = [9; 32];
    let uplink = site.uplink(&receiver).await.expect("a session");
    assert_eq!(refused(&uplink, other_source).await, Reason::InvalidTensor);

    // No coded image at all.
    let mut garbage = outgoing([4; 16], &exact(&codec));
    garbage.coded = Bytes::from(vec![0x55; 5000]);
    let uplink = site.uplink(&receiver).await.expect("a session");
    assert_eq!(refused(&uplink, garbage).await, Reason::InvalidTensor);

    lives_on_with(&site, &receiver, &codec, 0).await;
    receiver.stop().await.expect("drained");
}
