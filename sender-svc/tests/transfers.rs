//! The transfer log as clients see it, and how open streams end when the service stops.

mod support;

use std::time::{Duration, Instant};

use latentwire_proto::v1::{
    GetTransferRequest, ImageHeader, ListTransfersRequest, SendStudyRequest, TransferStatus,
    WatchTransfersRequest, send_study_request::Part,
};
use support::{DESTINATION, Sender, expect_refusal, header, png};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

fn id(byte: u8) -> ImageHeader {
    ImageHeader { transfer_id: vec![byte; 16].into(), ..header() }
}

#[tokio::test]
async fn transfers_are_listed_watched_and_found() {
    let sender = Sender::alone(&[]).await;
    let mut client = sender.client.clone();
    let watched = WatchTransfersRequest { destination: DESTINATION.to_owned() };
    let mut changes = client.watch_transfers(watched).await.expect("a stream").into_inner();
    for byte in 1..=3 {
        sender.send(id(byte), &png()).await.expect_err("the receiver is down");
    }
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let change =
            changes.message().await.expect("no error").expect("a change").transfer.expect("a transfer");
        if change.transfer_id[..] == [1; 16] && seen.last() != Some(&change.status()) {
            seen.push(change.status());
        }
    }
    assert_eq!(seen, [TransferStatus::Sending, TransferStatus::Rejected]);

    let first = ListTransfersRequest { page_size: 2, ..ListTransfersRequest::default() };
    let first = client.list_transfers(first).await.expect("a page").into_inner();
    let second =
        ListTransfersRequest { page_token: first.next_page_token, ..ListTransfersRequest::default() };
    let second = client.list_transfers(second).await.expect("a page").into_inner();
    let listed: Vec<u8> = first.transfers.iter().chain(&second.transfers).map(|t| t.transfer_id[0]).collect();
    assert_eq!((listed, second.next_page_token.as_str()), (vec![3, 2, 1], ""));

    let nonsense = ListTransfersRequest { page_token: "x".to_owned(), ..ListTransfersRequest::default() };
    expect_refusal(client.list_transfers(nonsense).await, Code::InvalidArgument, "INVALID_FIELD");
    let unknown = GetTransferRequest { transfer_id: vec![9; 16].into(), destination: String::new() };
    expect_refusal(client.get_transfer(unknown).await, Code::NotFound, "TRANSFER_NOT_FOUND");
    let elsewhere = WatchTransfersRequest { destination: "nowhere".to_owned() };
    expect_refusal(client.watch_transfers(elsewhere).await, Code::NotFound, "DESTINATION_UNKNOWN");
    drop((changes, client));
    sender.stop().await.expect("a clean end");
}

#[tokio::test]
async fn open_streams_do_not_hold_the_stop_up() {
    let sender = Sender::alone(&[]).await;
    let mut client = sender.client.clone();
    let watched = client.watch_transfers(WatchTransfersRequest::default()).await;
    let mut changes = watched.expect("a stream").into_inner();
    // A study that has sent one image and rests, its stream open.
    let (parts, requests) = mpsc::channel(4);
    for part in
        [Part::Header(ImageHeader { destination: "nowhere".to_owned(), ..id(1) }), Part::Chunk(png().into())]
    {
        parts.send(SendStudyRequest { part: Some(part) }).await.expect("room");
    }
    let mut answers = client.send_study(ReceiverStream::new(requests)).await.expect("a stream").into_inner();
    let rejected =
        answers.message().await.expect("no error").expect("an answer").transfer.expect("a transfer");
    assert_eq!(rejected.status(), TransferStatus::Rejected);

    let begun = Instant::now();
    let stopped = tokio::spawn(sender.stop());
    expect_refusal(answers.message().await, Code::Unavailable, "SHUTTING_DOWN");
    expect_refusal(changes.message().await, Code::Unavailable, "SHUTTING_DOWN");
    drop((parts, answers, changes, client));
    stopped.await.expect("no panic").expect("a clean end");
    assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
}

/// The client rests after its last chunk; the length that it announced says that nothing is missing.
#[tokio::test]
async fn a_study_that_rests_has_its_whole_images_sent() {
    let sender = Sender::alone(&["--idle-timeout", "1"]).await;
    let (parts, requests) = mpsc::channel(4);
    let whole = ImageHeader { file_bytes: png().len() as u64, ..id(1) };
    for part in [Part::Header(whole), Part::Chunk(png().into())] {
        parts.send(SendStudyRequest { part: Some(part) }).await.expect("room");
    }
    let mut client = sender.client.clone();
    let mut answers = client.send_study(ReceiverStream::new(requests)).await.expect("a stream").into_inner();
    let mut ended = None;
    let fault = loop {
        match answers.message().await {
            Ok(answer) => ended = answer.expect("the call ends with its fault").transfer,
            Err(status) => break Err::<(), _>(status),
        }
    };
    expect_refusal(fault, Code::DeadlineExceeded, "STREAM_IDLE");
    let error = ended.expect("the image was tried").error.expect("the receiver is down");
    assert_eq!(error.reason, "PEER_UNAVAILABLE");
    drop((parts, answers, client));
    sender.stop().await.expect("a clean end");
}
