//! Real images from a real sender's session into the archive and out of it again.

mod support;

use latentwire_codec::{Codec, Prepared};
use latentwire_proto::v1::get_image_request::Key;
use latentwire_proto::v1::{
    DeleteImageRequest, Image, ListImagesRequest, ListImagesResponse, Mode, WatchImagesRequest,
};
use latentwire_service::status::{reason, reason_of};
use latentwire_wire::{Reason, Verdict};
use sha2::{Digest, Sha256};
use support::{Receiver, Site, codec, deliver, exact_policy, latent_policy, outgoing, sample};
use tonic::Code;

const FILE: &str = "fundus/test/chase_2846f819cd.jpg";

fn latent(codec: &Codec) -> Prepared {
    let prepared = codec.prepare(&sample(FILE), &latent_policy()).expect("coded");
    assert_eq!(prepared.report.mode.name(), "latent");
    prepared
}

fn exact(codec: &Codec) -> Prepared {
    codec.prepare(&sample(FILE), &exact_policy()).expect("coded")
}

async fn list(receiver: &Receiver, request: ListImagesRequest) -> ListImagesResponse {
    receiver.images.clone().list_images(request).await.expect("listed").into_inner()
}

async fn all(receiver: &Receiver) -> Vec<Image> {
    list(receiver, ListImagesRequest::default()).await.images
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_arrives_is_listed_and_comes_back_after_a_restart() {
    let (site, codec) = (Site::new(), codec());
    let receiver = site.start(&[]).await;
    let mut watch = receiver
        .images
        .clone()
        .watch_images(WatchImagesRequest::default())
        .await
        .expect("watches")
        .into_inner();
    let uplink = site.uplink(&receiver).await.expect("a session");
    let coded = latent(&codec);
    let delivered = deliver(&uplink, outgoing([1; 16], &coded)).await.expect("delivered");
    assert!(matches!(delivered.verdict, Verdict::Equal | Verdict::Differs), "{delivered:?}");
    assert!(!delivered.already_done && delivered.decode_ms > 0.0);
    let file = exact(&codec);
    let second = deliver(&uplink, outgoing([2; 16], &file)).await.expect("delivered");
    assert_eq!(second.verdict, Verdict::Exact);
    uplink.close().await;

    let arrived = watch.message().await.expect("no error").expect("an arrival").image.expect("an image");
    assert_eq!(arrived.transfer_id[..], [1; 16]);
    let images = all(&receiver).await;
    assert_eq!(images.iter().map(|image| image.transfer_id[0]).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(images[1], arrived);
    let summary = arrived.image.expect("a summary");
    assert_eq!((summary.mode(), summary.coded_bytes), (Mode::Latent, coded.coded.len() as u64));
    assert_eq!(
        (arrived.peer.as_str(), arrived.study_group.as_str(), arrived.sequence),
        (support::PEER, "study-1", 3)
    );
    assert!(arrived.stored_bytes > summary.coded_bytes && summary.sealed_bytes >= summary.coded_bytes);
    drop(watch);
    receiver.stop().await.expect("drained");

    let receiver = site.start(&[]).await;
    assert_eq!(all(&receiver).await, images);
    let (header, back) = receiver.get(Key::TransferId(vec![2; 16].into())).await.expect("given back");
    assert_eq!(back, sample(FILE), "bit for bit");
    assert_eq!(header.file_sha256[..], Sha256::digest(&back)[..]);
    let (header, back) = receiver.get(Key::ImageId(images[1].image_id.clone())).await.expect("given back");
    let restored = codec.restore(&coded.coded).expect("decoded");
    assert_eq!((back.len() as u64, header.format.as_str()), (header.file_bytes, "png"));
    assert_eq!(back, restored.file, "what the sender measured is what the receiver gives out");
    receiver.stop().await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_transfer_is_done_already_and_other_content_is_a_conflict() {
    let (site, codec) = (Site::new(), codec());
    let receiver = site.start(&[]).await;
    let file = exact(&codec);
    let first = deliver(&site.uplink(&receiver).await.expect("a session"), outgoing([7; 16], &file))
        .await
        .expect("delivered");
    let again = deliver(&site.uplink(&receiver).await.expect("a session"), outgoing([7; 16], &file))
        .await
        .expect("done");
    assert!(again.already_done);
    assert_eq!(again.image_id, first.image_id);
    let other =
        codec.prepare(&sample("brain_mri/test/sartaj_0908d1a91a.jpg"), &exact_policy()).expect("coded");
    let error = deliver(&site.uplink(&receiver).await.expect("a session"), outgoing([7; 16], &other))
        .await
        .expect_err("conflict");
    assert_eq!(error.reason(), Reason::TransferConflict);
    assert_eq!(all(&receiver).await.len(), 1);

    // A deleted image stays delivered: the PACS behind it must not get it twice.
    let mut images = receiver.images.clone();
    let delete = || DeleteImageRequest { image_id: first.image_id.to_vec().into() };
    images.delete_image(delete()).await.expect("deleted");
    let error = images.delete_image(delete()).await.expect_err("gone");
    assert_eq!((error.code(), reason_of(&error).as_str()), (Code::NotFound, reason::IMAGE_NOT_FOUND));
    let again = deliver(&site.uplink(&receiver).await.expect("a session"), outgoing([7; 16], &file))
        .await
        .expect("done");
    assert!(again.already_done);
    assert!(all(&receiver).await.is_empty());
    receiver.stop().await.expect("drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_filters() {
    let (site, codec) = (Site::new(), codec());
    let receiver = site.start(&[]).await;
    let uplink = site.uplink(&receiver).await.expect("a session");
    let file = exact(&codec);
    for number in 1..=5 {
        deliver(&uplink, outgoing([number; 16], &file)).await.expect("delivered");
    }
    let mut numbers = Vec::new();
    let mut page_token = String::new();
    loop {
        let page =
            list(&receiver, ListImagesRequest { page_size: 2, page_token, ..ListImagesRequest::default() })
                .await;
        numbers.extend(page.images.iter().map(|image| image.transfer_id[0]));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    let of = |peer: &str, study: &str| ListImagesRequest {
        peer: peer.to_owned(),
        study_group: study.to_owned(),
        ..ListImagesRequest::default()
    };
    assert_eq!(list(&receiver, of(support::PEER, "study-1")).await.images.len(), 5);
    assert!(list(&receiver, of("nobody", "")).await.images.is_empty());
    assert!(list(&receiver, of("", "study-2")).await.images.is_empty());
    let wrong = ListImagesRequest { page_token: "x".to_owned(), ..ListImagesRequest::default() };
    let error = receiver.images.clone().list_images(wrong).await.expect_err("no token");
    assert_eq!((error.code(), reason_of(&error).as_str()), (Code::InvalidArgument, reason::INVALID_FIELD));
    uplink.close().await;
    receiver.stop().await.expect("drained");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_no_id() {
    let site = Site::new();
    let receiver = site.start(&[]).await;
    for key in [Key::ImageId(vec![1; 16].into()), Key::TransferId(vec![1; 16].into())] {
        let error = receiver.get(key).await.expect_err("not there");
        assert_eq!((error.code(), reason_of(&error).as_str()), (Code::NotFound, reason::IMAGE_NOT_FOUND));
    }
    let error = receiver.get(Key::ImageId(vec![1; 15].into())).await.expect_err("no id");
    assert_eq!((error.code(), reason_of(&error).as_str()), (Code::InvalidArgument, reason::INVALID_FIELD));
    receiver.stop().await.expect("drained");
}
