//! What a sender refuses: a stable reason each time, and it serves on.

mod support;

use latentwire_proto::v1::{
    Delivery, Floors, GetTransferRequest, ImageHeader, InnerLayer, ListModelsRequest, ListTransfersRequest,
    Mode, PaddingPolicy, Policy, Segmentation, TransferStatus, send_image_request::Part, send_study_request,
};
use support::{DESTINATION, Sender, expect_refusal, header, png};
use tonic::Code;

fn with_policy(policy: Policy) -> ImageHeader {
    ImageHeader { policy: Some(policy), ..header() }
}

#[tokio::test]
async fn headers_that_are_wrong() {
    let sender = Sender::alone(&[]).await;
    let unknown = ImageHeader { destination: "nowhere".to_owned(), ..header() };
    expect_refusal(sender.send(unknown, &png()).await, Code::NotFound, "DESTINATION_UNKNOWN");
    let short_id = ImageHeader { transfer_id: vec![1; 15].into(), ..header() };
    expect_refusal(sender.send(short_id, &png()).await, Code::InvalidArgument, "INVALID_FIELD");
    let long_name = ImageHeader { study_group: "s".repeat(257), ..header() };
    expect_refusal(sender.send(long_name, &png()).await, Code::InvalidArgument, "INVALID_FIELD");
    let floors = Some(Floors { min_ssim: Some(1.5), ..Floors::default() });
    let high = with_policy(Policy { floors, ..Policy::default() });
    expect_refusal(sender.send(high, &png()).await, Code::InvalidArgument, "INVALID_FIELD");
    let coarse = with_policy(Policy { quantiser_step_percent: 24, ..Policy::default() });
    expect_refusal(sender.send(coarse, &png()).await, Code::InvalidArgument, "INVALID_FIELD");
    sender.stop().await.expect("a clean end");
}

#[tokio::test]
async fn policies_that_contradict_themselves() {
    let sender = Sender::alone(&[]).await;
    let rows = || Policy { segmentation: Segmentation::Row.into(), ..Policy::default() };
    for policy in [
        Policy { inner_layer: InnerLayer::Chaos4.into(), ..rows() },
        Policy { mode: Mode::Exact.into(), ..rows() },
        Policy { quantiser_step_percent: 50, ..rows() },
        Policy { padding: PaddingPolicy::Fixed.into(), ..rows() },
    ] {
        let refused = sender.send(with_policy(policy), &png()).await;
        expect_refusal(refused, Code::InvalidArgument, "INVALID_POLICY");
    }
    sender.stop().await.expect("a clean end");
}

#[tokio::test]
async fn what_this_version_does_not_do() {
    let sender = Sender::alone(&[]).await;
    for header in [
        with_policy(Policy { mode: Mode::Bounded.into(), ..Policy::default() }),
        ImageHeader { delivery: Delivery::Queued.into(), ..header() },
    ] {
        expect_refusal(sender.send(header, &png()).await, Code::FailedPrecondition, "NOT_ENABLED");
    }
    sender.stop().await.expect("a clean end");
}

#[tokio::test]
async fn streams_that_are_out_of_order() {
    let sender = Sender::alone(&[]).await;
    let chunk = || Part::Chunk(png().into());
    expect_refusal(sender.send_image(vec![]).await, Code::InvalidArgument, "INVALID_FIELD");
    expect_refusal(sender.send_image(vec![chunk()]).await, Code::InvalidArgument, "INVALID_FIELD");
    let twice = vec![Part::Header(header()), chunk(), Part::Header(header())];
    expect_refusal(sender.send_image(twice).await, Code::InvalidArgument, "INVALID_FIELD");
    let (answers, status) = sender.send_study(vec![send_study_request::Part::Chunk(png().into())]).await;
    assert!(answers.is_empty(), "{answers:?}");
    expect_refusal(status.map_or(Ok(()), Err), Code::InvalidArgument, "INVALID_FIELD");
    sender.stop().await.expect("a clean end");
}

#[tokio::test]
async fn files_of_the_wrong_size() {
    let sender = Sender::alone(&["--max-file-bytes", "1000"]).await;
    let announced = ImageHeader { file_bytes: 1001, ..header() };
    expect_refusal(
        sender.send_image(vec![Part::Header(announced)]).await,
        Code::OutOfRange,
        "TRANSFER_TOO_LARGE",
    );
    expect_refusal(sender.send(header(), &[0; 1001]).await, Code::OutOfRange, "TRANSFER_TOO_LARGE");
    let longer = ImageHeader { file_bytes: 100, ..header() };
    expect_refusal(sender.send(longer, &[0; 101]).await, Code::InvalidArgument, "INVALID_FIELD");
    let shorter = ImageHeader { file_bytes: 100, ..header() };
    expect_refusal(sender.send(shorter, &[0; 99]).await, Code::DataLoss, "STREAM_TRUNCATED");
    sender.stop().await.expect("a clean end");

    let sender = Sender::alone(&[]).await;
    expect_refusal(
        sender.send(header(), &vec![0; (1 << 20) + 1]).await,
        Code::InvalidArgument,
        "INVALID_FIELD",
    );
    expect_refusal(sender.send(header(), &vec![0; 4 << 20]).await, Code::InvalidArgument, "INVALID_FIELD");
    sender.stop().await.expect("a clean end");
}

#[tokio::test]
async fn files_that_are_no_pictures() {
    let sender = Sender::alone(&[]).await;
    expect_refusal(sender.send(header(), b"plain text").await, Code::InvalidArgument, "UNKNOWN_FORMAT");
    expect_refusal(
        sender.send_image(vec![Part::Header(header())]).await,
        Code::InvalidArgument,
        "EMPTY_FILE",
    );
    expect_refusal(sender.send(header(), &png()[..60]).await, Code::InvalidArgument, "MALFORMED_FILE");
    let missing = with_policy(Policy { model: "no-such-model".to_owned(), ..Policy::default() });
    expect_refusal(sender.send(missing, &png()).await, Code::FailedPrecondition, "MODEL_MISMATCH");
    sender.stop().await.expect("a clean end");
}

#[tokio::test]
async fn a_receiver_that_is_down() {
    let sender = Sender::alone(&[]).await;
    let exact = Policy { mode: Mode::Exact.into(), ..Policy::default() };
    let header = ImageHeader { transfer_id: vec![9; 16].into(), ..with_policy(exact) };
    expect_refusal(sender.send(header, &png()).await, Code::Unavailable, "PEER_UNAVAILABLE");

    let request = GetTransferRequest { transfer_id: vec![9; 16].into(), destination: String::new() };
    let known = sender.client.clone().get_transfer(request).await.expect("logged").into_inner();
    let transfer = known.transfer.expect("a transfer");
    assert_eq!((transfer.status(), transfer.destination.as_str()), (TransferStatus::Rejected, DESTINATION));
    assert_eq!(transfer.error.map(|error| error.reason), Some("PEER_UNAVAILABLE".to_owned()));
    assert_eq!(
        transfer.image.map(|image| (image.width, image.height)),
        Some((40, 30)),
        "it was coded all the same"
    );

    let request =
        ListTransfersRequest { statuses: vec![TransferStatus::Rejected.into()], ..Default::default() };
    let listed = sender.client.clone().list_transfers(request).await.expect("a list").into_inner();
    assert_eq!(listed.transfers.len(), 1);
    let models =
        sender.client.clone().list_models(ListModelsRequest {}).await.expect("it serves on").into_inner();
    assert!(models.models.iter().any(|model| model.id == "haar-fundus" && model.encoder && model.decoder));
    sender.stop().await.expect("a clean end");
}

/// The port of another service: HTTP/1.1 on the admin port, and gRPC without a TransferService.
#[tokio::test]
async fn a_wrong_port() {
    let other = Sender::alone(&[]).await;
    for port in [other.admin, other.address] {
        let sender = Sender::start(port, &[]).await;
        expect_refusal(sender.send(header(), &png()).await, Code::Unavailable, "PEER_UNAVAILABLE");
        sender.stop().await.expect("a clean end");
    }
    other.stop().await.expect("a clean end");
}

#[tokio::test]
async fn an_image_of_a_study_ends_alone() {
    use send_study_request::Part;
    let sender = Sender::alone(&[]).await;
    let id = |byte: u8| ImageHeader { transfer_id: vec![byte; 16].into(), ..header() };
    let (answers, status) = sender
        .send_study(vec![
            Part::Header(ImageHeader { destination: "nowhere".to_owned(), ..id(1) }),
            Part::Chunk(png().into()),
            Part::Header(id(2)),
            Part::Chunk(b"plain text".to_vec().into()),
            Part::Header(id(3)),
            Part::Chunk(png().into()),
        ])
        .await;
    assert!(status.is_none(), "{status:?}");
    let reason = |byte: u8| {
        let mut own = answers.iter().filter_map(|answer| answer.transfer.as_ref());
        let last = own.rfind(|transfer| transfer.transfer_id[..] == [byte; 16]).expect("an end");
        assert_eq!(last.status(), TransferStatus::Rejected);
        last.error.clone().expect("an error").reason
    };
    assert_eq!(
        [reason(1), reason(2), reason(3)],
        ["DESTINATION_UNKNOWN", "UNKNOWN_FORMAT", "PEER_UNAVAILABLE"]
    );
    sender.stop().await.expect("a clean end");
}

#[tokio::test]
async fn a_sender_without_decoders_promises_no_floor() {
    let sender = Sender::alone(&["--withhold-decoder"]).await;
    let floors = Some(Floors { min_psnr_db: Some(40.0), ..Floors::default() });
    let asked = with_policy(Policy { floors, ..Policy::default() });
    expect_refusal(sender.send(asked, &png()).await, Code::FailedPrecondition, "FIDELITY_UNMEASURABLE");
    let models = sender.client.clone().list_models(ListModelsRequest {}).await.expect("a list").into_inner();
    assert!(models.models.iter().all(|model| model.encoder && !model.decoder), "{models:?}");
    sender.stop().await.expect("a clean end");
}
