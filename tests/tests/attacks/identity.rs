//! One transfer id with two contents, or twice at once: N24, N25.

use latentwire_proto::v1::{DeleteImageRequest, OpenVerdict, image_service_client::ImageServiceClient};

use crate::{
    cases::Cases,
    noise::random,
    peer::{self, Image},
    stand::{Stand, honest},
};

/// The same id with other content.
fn other(image: &Image) -> Image {
    let mut file = image.coded[16..].to_vec();
    let last = file.len() - 20;
    file[last] ^= 1;
    Image { id: image.id, ..Image::exact(&file) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n24_same_id_at_once() {
    let mut cases = Cases::of("n24_same_id_at_once");
    let mut stand = Stand::start().await;
    let image = honest();
    let mut first = stand.connect().await;
    let steps = first.messages(&image);
    first.send_all(steps[..3].to_vec()).await;
    assert_eq!(first.open_ack().await.verdict(), OpenVerdict::Accepted);
    // Over other sessions and over other slots of the same one; of the same content and of another.
    for content in [image.clone(), other(&image)] {
        for _ in 0..4 {
            let mut peer = stand.connect().await;
            let steps = peer.messages(&content);
            peer.send_all(steps).await;
            let ack = peer.open_ack().await;
            assert_eq!((ack.verdict(), ack.reason.as_str()), (OpenVerdict::Refused, "TRANSFER_IN_PROGRESS"));
            cases.one();
        }
        for slot in 1..4 {
            let open = first.messages(&Image { slot, ..content.clone() })[0].clone();
            first.send(open).await;
            let ack = first.open_ack().await;
            assert_eq!((ack.slot, ack.reason.as_str()), (slot, "TRANSFER_IN_PROGRESS"));
            cases.one();
        }
    }
    stand.nothing_came_out().await;
    // Whoever came first ends it; sent by many at once, another is there once.
    first.send_all(steps[3..].to_vec()).await;
    assert!(first.receipt().await.error.is_none());
    stand.settle().await;
    let image = honest();
    let at_once = (0..8).map(|_| stand.deliver(&image));
    let mut delivered = 0;
    for sent in futures(at_once).await {
        match sent {
            Ok(_) => delivered += 1,
            Err(error) => assert_eq!(error.reason().as_str(), "TRANSFER_IN_PROGRESS"),
        }
        cases.one();
    }
    assert!(delivered >= 1);
    let images = stand.kept().await.images;
    assert_eq!(images.len(), 2, "one image an id");
    stand.settle().await;
    stand.still_sound().await;
}

/// Drives all of them together.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = all.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        pending.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(value) => {
                done.push(value);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n25_same_id_with_another_digest() {
    let mut cases = Cases::of("n25_same_id_with_another_digest");
    let mut stand = Stand::start().await;
    let image = honest();
    stand.deliver(&image).await.expect("the first");
    stand.settle().await;
    for round in 0..8 {
        let mut content = other(&image);
        // Nor does another length, segment size or form make it the same.
        match round % 4 {
            1 => content = Image { id: image.id, ..Image::exact(&image.coded[16..image.coded.len() - 1]) },
            2 => content.segment_bytes = 4_096,
            3 => content = Image { id: image.id, form: 1, decoder: random(), ..content },
            _ => {}
        }
        let mut peer = stand.connect().await;
        let steps = peer.messages(&content);
        peer.send_all(steps).await;
        let ack = peer.open_ack().await;
        assert_eq!((ack.verdict(), ack.reason.as_str()), (OpenVerdict::Conflict, "TRANSFER_CONFLICT"));
        assert!(
            ack.image_id.is_empty() && ack.stored_tag.is_empty(),
            "a conflict tells nothing of the image"
        );
        cases.one();
        let error = stand.deliver(&content).await.expect_err("a conflict");
        assert_eq!(error.reason().as_str(), "TRANSFER_CONFLICT");
        cases.one();
        stand.nothing_came_out().await;
    }
    // The source digest claimed, another content sealed.
    let mut liar = other(&image);
    (liar.source, liar.record.source_sha256) = (image.source, image.source.to_vec().into());
    let mut peer = stand.connect().await;
    let steps = peer.messages(&liar);
    peer.send_all(steps).await;
    let ack = peer.open_ack().await;
    assert_eq!(ack.verdict(), OpenVerdict::Done, "the same source is the same image: nothing is taken");
    cases.one();
    stand.nothing_came_out().await;
    // A deleted image's id stays taken.
    let mut images = ImageServiceClient::new(peer::channel(stand.receiver.images).await);
    let request = DeleteImageRequest { image_id: ack.image_id };
    images.delete_image(request).await.expect("deleted");
    stand.settle().await;
    let error = stand.deliver(&other(&image)).await.expect_err("a conflict");
    assert_eq!(error.reason().as_str(), "TRANSFER_CONFLICT");
    cases.one();
    stand.still_sound().await;
}
