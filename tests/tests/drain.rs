//! SIGTERM: what is under way is finished or fails cleanly, peers hear NOT_SERVING, and the process ends in time with 0.
//! SIGKILL: what has a receipt is there afterwards.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use latentwire_proto::{
    Bytes,
    v1::{ImageHeader, Mode, Policy, SendImageRequest, TransferStatus, send_image_request::Part},
};
use latentwire_tests::{
    Link, Receiver, Sender, Workplace, admin, binaries, client, outcome, pictures, workplace,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// With nothing to do, an end is near at once.
const IDLE_END: Duration = Duration::from_secs(15);

#[test]
fn idle_services_end_at_once() {
    let mut link = Link::open();
    // Afterwards a session is open, on which nothing happens.
    let _sent = link.send(&[binaries::sample("fundus/test/idrid_2cfe12be46.jpg")], &[]).expect_success();
    let ended = link.receiver.service.terminate();
    assert!(ended.status.success(), "{:?}\n{}", ended, link.receiver.service.log());
    assert!(ended.took < IDLE_END, "the receiver took {:?}", ended.took);
    let ended = link.sender.service.terminate();
    assert!(ended.status.success(), "{:?}\n{}", ended, link.sender.service.log());
    assert!(ended.took < IDLE_END, "the sender took {:?}", ended.took);
}

#[test]
fn a_sender_finishes_the_image_that_is_coming_in() {
    let mut link = Link::open();
    let file = fs::read(binaries::sample("chest_xray/test/hannover_1890031531.jpg")).expect("the sample");
    let address = link.sender.address;
    let admin_address = link.sender.service.admin();
    let service = &mut link.sender.service;
    client::block_on(async {
        let channel = client::channel(address).await;
        let (parts, requests) = mpsc::channel(4);
        let policy = Policy { mode: Mode::Exact.into(), ..Policy::default() };
        let header =
            ImageHeader { policy: Some(policy), file_bytes: file.len() as u64, ..ImageHeader::default() };
        parts.send(part(Part::Header(header))).await.expect("room");
        let (first, second) = file.split_at(file.len() / 2);
        parts.send(part(Part::Chunk(Bytes::copy_from_slice(first)))).await.expect("room");
        let mut sender = client::send_service(address).await;
        let answer = tokio::spawn(async move { sender.send_image(ReceiverStream::new(requests)).await });
        let mut health = HealthClient::new(channel);
        let request = HealthCheckRequest { service: "latentwire.v1.SendService".to_owned() };
        let mut watch = health.watch(request).await.expect("health is watched").into_inner();
        let next = watch.message().await.expect("health").expect("health");
        assert_eq!(next.status(), ServingStatus::Serving);

        // The call is under way before the signal.
        tokio::task::spawn_blocking(move || await_call(admin_address, "SendImage")).await.expect("a thread");
        service.signal_termination();
        let next = tokio::time::timeout(IDLE_END, watch.message()).await.expect("in time").expect("health");
        assert_eq!(next.expect("health").status(), ServingStatus::NotServing);
        let ready = tokio::task::spawn_blocking(move || admin::get(admin_address, "/readyz"))
            .await
            .expect("a thread");
        assert_eq!(ready.expect("the admin port answers to the end").status, 503);
        drop(watch);

        parts.send(part(Part::Chunk(Bytes::copy_from_slice(second)))).await.expect("room");
        drop(parts);
        let transfer = answer.await.expect("no panic").expect("the image is delivered").into_inner().transfer;
        assert_eq!(transfer.expect("a transfer").status(), TransferStatus::Delivered);
    });
    let ended = link.sender.service.terminate();
    assert!(ended.status.success(), "{:?}\n{}", ended, link.sender.service.log());
    assert!(ended.took < IDLE_END, "{:?}", ended.took);
    assert_eq!(client::list_images(link.receiver.images).len(), 1);
}

#[test]
fn a_health_watcher_holds_nobody_up() {
    let mut link = Link::open();
    let (sender, receiver) = (link.sender.address, link.receiver.images);
    let services = [&mut link.sender.service, &mut link.receiver.service];
    for (address, service) in [sender, receiver].into_iter().zip(services) {
        let took = client::block_on(async {
            let mut health = HealthClient::new(client::channel(address).await);
            let watch = health.watch(HealthCheckRequest::default()).await.expect("health is watched");
            let ended = service.terminate();
            assert!(ended.status.success(), "{:?}\n{}", ended, service.log());
            drop(watch);
            ended.took
        });
        assert!(took < IDLE_END, "a client that watches the health delays the end by {took:?}");
    }
}

#[test]
fn a_receiver_that_ends_in_the_middle_keeps_what_it_has_receipted_and_nothing_else() {
    interrupted(|receiver| {
        let ended = receiver.service.terminate();
        assert!(ended.status.success(), "{:?}\n{}", ended, receiver.service.log());
    });
}

#[test]
fn a_receiver_that_is_killed_keeps_what_it_has_receipted_and_nothing_else() {
    interrupted(|receiver| receiver.service.kill());
}

/// Ends a receiver in the middle of six images, starts it again, and looks at what it has.
fn interrupted(end: impl FnOnce(&mut Receiver)) {
    let workplace = Workplace::new();
    let mut receiver = Receiver::start(&workplace, &[]);
    let sender = Sender::start(&workplace, receiver.transfer, &[]);
    let large: Vec<_> = (0..6)
        .map(|n| workplace.write(&format!("large-{n}.png"), &pictures::noise_png(1500 + n, 1200)))
        .collect();
    let begun = sender.begin_send(&large, &["--mode", "exact", "--parallel", "2"]);
    while client::list_images(receiver.images).is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    end(&mut receiver);
    let run = begun.end();
    let objects = run.objects();
    assert_eq!(objects.len(), large.len());
    let (delivered, rejected): (Vec<_>, Vec<_>) =
        objects.into_iter().partition(|object| object["status"] == "delivered");
    assert_eq!(run.exit, i32::from(!rejected.is_empty()), "{run:?}");
    for object in &rejected {
        let reason = outcome::check_rejected(object);
        assert!(["PEER_UNAVAILABLE", "STREAM_TRUNCATED"].contains(&reason.as_str()), "{object}");
    }

    let receiver = Receiver::start_at(&workplace, receiver.transfer, receiver.images);
    let half_written = workplace::half_written(&receiver.data);
    assert!(half_written.is_empty(), "{half_written:?}");
    let stored = client::list_images(receiver.images);
    assert!(stored.len() >= delivered.len(), "{} receipts, {} images", delivered.len(), stored.len());
    for object in &delivered {
        let target = workplace.path("kept");
        let _got = receiver.get(object["transfer_id"].as_str().expect("an id"), &target).expect_success();
        let path = object["path"].as_str().expect("a path");
        assert!(fs::read(&target).expect("the received file") == fs::read(path).expect("the sent file"));
    }
    // What failed goes through now, under the id that it had.
    for object in &rejected {
        let (path, id) =
            (object["path"].as_str().expect("a path"), object["transfer_id"].as_str().expect("an id"));
        let _sent = sender.send(&[path], &["--mode", "exact", "--transfer-id", id]).expect_success();
    }
    assert_eq!(client::list_images(receiver.images).len(), large.len());
}

/// Waits until the service has begun to serve a call of this method.
fn await_call(admin: SocketAddr, method: &str) {
    let started =
        |sample: &admin::Sample| sample.name == "grpc_server_started_total" && sample.series.contains(method);
    let begun = Instant::now();
    loop {
        let metrics = admin::get(admin, "/metrics").expect("the admin port answers").body;
        if admin::parse_metrics(&metrics).expect("metrics").iter().any(started) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no {method} was begun:\n{metrics}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn part(part: Part) -> SendImageRequest {
    SendImageRequest { part: Some(part) }
}
