//! Who may call SendService and ImageService: tokens, permissions, revocation, and what a refused caller learns.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use latentwire_proto::v1::{
    DeleteImageRequest, GetImageRequest, GetTransferRequest, ImageHeader, ListImagesRequest,
    ListModelsRequest, ListTransfersRequest, SendImageRequest, SendStudyRequest, WatchImagesRequest,
    WatchTransfersRequest, image_service_client::ImageServiceClient, send_image_request,
    send_service_client::SendServiceClient, send_study_request,
};
use latentwire_tests::{
    Run, SecuredLink, Workplace, binaries,
    client::{block_on, channel},
    link::{Receiver, Sender},
    secured::CLIENT,
};
use tonic::{Code, Request, Status, metadata::MetadataValue, transport::Channel};
use tonic_types::StatusExt;

const PICTURE: &str = "brain_mri/test/sartaj_0b938fbd0a.jpg";
const PERMISSIONS: [&str; 6] = ["send", "read-transfers", "read-models", "list", "fetch", "delete"];
/// Changed files are looked for every two seconds.
const NOTICED: Duration = Duration::from_secs(40);

/// Both services on loopback, with a caller for each permission that has a token of its own.
struct Site {
    sender: Sender,
    receiver: Receiver,
    tokens: HashMap<&'static str, String>,
    workplace: Workplace,
}

impl Site {
    fn open() -> Self {
        let workplace = Workplace::new();
        let callers = workplace.path("callers.toml").to_string_lossy().into_owned();
        let mut tokens = HashMap::new();
        for permission in PERMISSIONS {
            let file = workplace.path(&format!("{permission}.token"));
            let output = file.to_string_lossy().into_owned();
            let arguments = [
                "callers",
                "add",
                &callers,
                "--name",
                permission,
                "--token-output",
                &output,
                "--allow",
                permission,
            ];
            let _added = Run::latentwire(arguments).expect_success();
            tokens.insert(permission, fs::read_to_string(file).expect("a token").trim().to_owned());
        }
        let text = fs::read_to_string(&callers).expect("the callers");
        assert!(
            tokens.values().all(|token| !text.contains(token.as_str())),
            "a token is in the callers' file"
        );
        let receiver = Receiver::start(&workplace, &["--callers", &callers]);
        let sender = Sender::start(&workplace, receiver.transfer, &["--callers", &callers]);
        Self { sender, receiver, tokens, workplace }
    }

    fn callers(&self) -> PathBuf {
        self.workplace.path("callers.toml")
    }
}

/// A request with this `authorization`.
fn with<T>(message: T, authorization: &str) -> Request<T> {
    let mut request = Request::new(message);
    if !authorization.is_empty() {
        let value = MetadataValue::try_from(authorization).expect("ASCII");
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// Calls every method of both services; what became of each.
async fn call_all(
    send: &Channel,
    images: &Channel,
    authorization: &str,
) -> Vec<(&'static str, Option<Status>)> {
    let a = authorization;
    let mut sender = SendServiceClient::new(send.clone());
    let mut receiver = ImageServiceClient::new(images.clone());
    // A header that no sender takes: whoever may send is told what is wrong with it, and sends nothing.
    let header = || ImageHeader { destination: "nowhere".to_owned(), ..ImageHeader::default() };
    let image = SendImageRequest { part: Some(send_image_request::Part::Header(header())) };
    let study = SendStudyRequest { part: Some(send_study_request::Part::Header(header())) };
    let id: latentwire_proto::Bytes = vec![7; 16].into();
    let fetch =
        GetImageRequest { key: Some(latentwire_proto::v1::get_image_request::Key::ImageId(id.clone())) };
    let transfer = GetTransferRequest { transfer_id: id.clone(), ..GetTransferRequest::default() };
    vec![
        ("SendImage send", sender.send_image(with(tokio_stream::iter([image]), a)).await.err()),
        ("SendStudy send", sender.send_study(with(tokio_stream::iter([study]), a)).await.err()),
        ("GetTransfer read-transfers", sender.get_transfer(with(transfer, a)).await.err()),
        (
            "ListTransfers read-transfers",
            sender.list_transfers(with(ListTransfersRequest::default(), a)).await.err(),
        ),
        (
            "WatchTransfers read-transfers",
            sender.watch_transfers(with(WatchTransfersRequest::default(), a)).await.err(),
        ),
        ("ListModels read-models", sender.list_models(with(ListModelsRequest {}, a)).await.err()),
        ("ListImages list", receiver.list_images(with(ListImagesRequest::default(), a)).await.err()),
        ("WatchImages list", receiver.watch_images(with(WatchImagesRequest::default(), a)).await.err()),
        ("GetImage fetch", receiver.get_image(with(fetch, a)).await.err()),
        (
            "DeleteImage delete",
            receiver.delete_image(with(DeleteImageRequest { image_id: id }, a)).await.err(),
        ),
    ]
}

/// Code, reason and sentence of a refusal for want of a known or permitted caller; `None` for everything else.
fn refusal(status: Option<&Status>) -> Option<(Code, String, String)> {
    let status = status?;
    let reason = status.get_details_error_info()?.reason;
    reason.starts_with("CALLER_").then(|| (status.code(), reason, status.message().to_owned()))
}

#[test]
fn each_permission_opens_its_methods_and_no_other() {
    let site = Site::open();
    block_on(async {
        let (send, images) = (channel(site.sender.address).await, channel(site.receiver.images).await);
        for permission in PERMISSIONS {
            let token = format!("Bearer {}", site.tokens[permission]);
            for (method, status) in call_all(&send, &images, &token).await {
                let refused = refusal(status.as_ref()).map(|(code, reason, _)| (code, reason));
                let expected = (!method.ends_with(&format!(" {permission}")))
                    .then(|| (Code::PermissionDenied, "CALLER_NOT_ALLOWED".to_owned()));
                assert_eq!(refused, expected, "{method} as {permission}: {status:?}");
            }
        }
        // Whoever is not known hears one thing alone, whatever was shown and asked for.
        let good = &site.tokens["send"];
        let other = if good.ends_with('0') { '1' } else { '0' };
        let off_by_one = format!("Bearer {}{other}", &good[..good.len() - 1]);
        let mut heard = Vec::new();
        for authorization in [
            "",
            "Bearer",
            "Bearer ",
            &off_by_one,
            &format!("Basic {good}"),
            good,
            &format!("Bearer {good} "),
            &format!("Bearer {}", "x".repeat(600)),
        ] {
            for (method, status) in call_all(&send, &images, authorization).await {
                let refused = refusal(status.as_ref())
                    .unwrap_or_else(|| panic!("{method} with {authorization:?}: {status:?}"));
                heard.push(refused);
            }
        }
        heard.dedup();
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert_eq!((heard[0].0, heard[0].1.as_str()), (Code::Unauthenticated, "CALLER_UNKNOWN"));
        // Two tokens in one call are no token.
        let mut twice = with(ListImagesRequest::default(), &format!("Bearer {}", site.tokens["list"]));
        let second = MetadataValue::try_from(format!("Bearer {}", site.tokens["list"])).expect("ASCII");
        twice.metadata_mut().append("authorization", second);
        let refused =
            ImageServiceClient::new(images.clone()).list_images(twice).await.expect_err("two tokens");
        assert_eq!(refused.code(), Code::Unauthenticated);
        // A method that does not exist is no other than one that does.
        let unknown = invented(&images, "").await;
        assert_eq!(refusal(Some(&unknown)), Some(heard[0].clone()));
        let unknown = invented(&images, &format!("Bearer {}", site.tokens["list"])).await;
        assert_eq!(unknown.code(), Code::PermissionDenied);
        // Health says SERVING to everybody: probes have no secret.
        for channel in [send, images] {
            let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
            health.check(tonic_health::pb::HealthCheckRequest::default()).await.expect("health is open");
        }
    });
    for service in [&site.sender.service, &site.receiver.service] {
        let log = service.log();
        assert!(
            site.tokens.values().all(|token| !log.contains(&token[20..])),
            "a token is in the log:\n{log}"
        );
    }
}

async fn invented(channel: &Channel, authorization: &str) -> Status {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.expect("the service listens");
    let path = http::uri::PathAndQuery::from_static("/latentwire.v1.ImageService/StealImage");
    let codec = tonic_prost_codec();
    grpc.unary(with(ListImagesRequest::default(), authorization), path, codec)
        .await
        .map(drop)
        .expect_err("no such method")
}

fn tonic_prost_codec() -> tonic_prost::ProstCodec<ListImagesRequest, ListImagesRequest> {
    tonic_prost::ProstCodec::default()
}

#[test]
fn a_caller_that_is_removed_is_out_at_once_and_a_broken_file_changes_nothing() {
    let mut site = Site::open();
    let token = format!("Bearer {}", site.tokens["list"]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (images, mut watch) = runtime.block_on(async {
        let images = channel(site.receiver.images).await;
        let request = with(WatchImagesRequest::default(), &token);
        let watch = ImageServiceClient::new(images.clone()).watch_images(request).await.expect("a watch");
        (images, watch.into_inner())
    });
    let list = |token: &str| {
        let request = with(ListImagesRequest::default(), token);
        runtime.block_on(ImageServiceClient::new(images.clone()).list_images(request)).map(drop)
    };
    list(&token).expect("the caller is known");

    let kept = fs::read(site.callers()).expect("the callers");
    fs::write(site.callers(), "[[caller]]\nname = 7\n").expect("written");
    site.receiver.service.signal_reload();
    let begun = Instant::now();
    while !site.receiver.service.log().contains("callers file unchanged") {
        assert!(begun.elapsed() < NOTICED, "nothing is said:\n{}", site.receiver.service.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    list(&token).expect("a broken file leaves the callers in force");
    fs::write(site.callers(), kept).expect("written");

    let file = site.callers().to_string_lossy().into_owned();
    let _removed = Run::latentwire(["callers", "remove", &file, "--name", "list"]).expect_success();
    site.receiver.service.signal_reload();
    let ended = runtime.block_on(async { tokio::time::timeout(NOTICED, watch.message()).await });
    let ended = ended.expect("the watch ends").expect_err("by a refusal");
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended:?}");
    let refused = list(&token).expect_err("the caller is gone");
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
    // A name may have two proofs, so that a token is changed with overlap; another caller is not touched.
    let output = site.workplace.path("next.token").to_string_lossy().into_owned();
    let arguments =
        ["callers", "add", &file, "--name", "fetch", "--token-output", &output, "--allow", "list,fetch"];
    let _added = Run::latentwire(arguments).expect_success();
    site.receiver.service.signal_reload();
    let next = format!("Bearer {}", fs::read_to_string(&output).expect("a token").trim());
    let begun = Instant::now();
    while list(&next).is_err() {
        assert!(begun.elapsed() < NOTICED, "the new token is not noticed");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_certificate_names_its_caller_and_a_wrong_token_is_not_made_good_by_it() {
    let mut link = SecuredLink::open();
    let list = |link: &SecuredLink, name: &str, rest: &[&str]| {
        link.run_as(name, &["list", "--json", "--receiver", &link.image_url()], rest)
    };
    let _listed = list(&link, CLIENT, &[]).expect_success();
    // The gateway's certificate is of the same CA, and may send alone.
    let denied = list(&link, latentwire_tests::secured::GATEWAY, &[]);
    assert!(denied.exit == 1 && denied.err.contains("CALLER_NOT_ALLOWED"), "{}", denied.err);
    // The sender's is of the same CA too, and nobody's here.
    let unknown = list(&link, latentwire_tests::secured::SENDER, &[]);
    assert!(unknown.exit == 1 && unknown.err.contains("CALLER_UNKNOWN"), "{}", unknown.err);
    // By the certificate itself instead of its name.
    let file = link.workplace.path("callers.toml").to_string_lossy().into_owned();
    let certificate = link.certificates.file("sender.test.crt");
    let arguments =
        ["callers", "add", &file, "--name", "sender", "--certificate", &certificate, "--allow", "list"];
    let _added = Run::latentwire(arguments).expect_success();
    link.receiver.service.signal_reload();
    let begun = Instant::now();
    while list(&link, latentwire_tests::secured::SENDER, &[]).exit != 0 {
        assert!(
            begun.elapsed() < NOTICED,
            "the certificate is not noticed:\n{}",
            link.receiver.service.log()
        );
    }
    // A token that nobody has, beside a certificate that is good.
    let token = link.workplace.path("stray.token").to_string_lossy().into_owned();
    let _made = Run::latentwire(["callers", "token", "--output", &token]).expect_success();
    let stray = list(&link, CLIENT, &["--token-file", &token]);
    assert!(stray.exit == 1 && stray.err.contains("CALLER_UNKNOWN"), "{}", stray.err);
}

#[test]
fn the_audit_logs_name_who_sent_fetched_deleted_and_was_refused() {
    let mut site = Site::open();
    let token = |name: &str| site.workplace.path(&format!("{name}.token")).to_string_lossy().into_owned();
    let send_url = format!("http://{}", site.sender.address);
    let image_url = format!("http://{}", site.receiver.images);
    let picture = binaries::sample(PICTURE);
    let send = ["send", "--json", "--mode", "exact", "--sender", &send_url, "--token-file", &token("send")];
    let sent = Run::latentwire(send.into_iter().chain([&*picture.to_string_lossy()]));
    let sent = sent.expect_success().object();
    let id = sent["transfer_id"].as_str().expect("an id");
    let output = site.workplace.path("got.jpg").to_string_lossy().into_owned();
    let get = ["get", "--receiver", &image_url, id, "-o", &output, "--token-file", &token("fetch")];
    let _got = Run::latentwire(get).expect_success();
    block_on(async {
        let mut images = ImageServiceClient::new(channel(site.receiver.images).await);
        let bearer = |name: &str| format!("Bearer {}", site.tokens[name]);
        let list = with(ListImagesRequest::default(), &bearer("list"));
        let image_id = images.list_images(list).await.expect("listed").into_inner().images.remove(0).image_id;
        let delete = with(DeleteImageRequest { image_id }, &bearer("delete"));
        images.delete_image(delete).await.expect("deleted");
    });
    // Who may fetch may not list; and nobody knows this one.
    for token in [token("fetch"), token("stray")] {
        if token.ends_with("stray.token") {
            let _made = Run::latentwire(["callers", "token", "--output", &token]).expect_success();
        }
        let refused = Run::latentwire(["list", "--receiver", &image_url, "--token-file", &token]);
        assert_eq!(refused.exit, 1, "{}", refused.err);
    }
    let at_sender = Sender::audit_at(&site.workplace, site.sender.address);
    let at_receiver = site.receiver.data.join("audit");
    site.sender.service.terminate();
    site.receiver.service.terminate();
    let callers = |folder: PathBuf| -> Vec<(String, String)> {
        let exported = Run::latentwire(["audit".as_ref(), "export".as_ref(), folder.as_os_str()]);
        let records = exported.expect_success().objects();
        let named = records.iter().filter_map(|record| {
            let caller = record.get("caller").filter(|caller| !caller.is_null())?;
            if record["kind"] == "caller_refused" {
                assert_eq!(record["detail"], "/latentwire.v1.ImageService/ListImages", "{record}");
                assert_eq!(
                    (&record["outcome"], &caller["address"]),
                    (&"refused".into(), &"127.0.0.1".into())
                );
            }
            let name = caller["name"].as_str().unwrap_or("nobody");
            Some((record["kind"].as_str()?.to_owned(), name.to_owned()))
        });
        named.collect()
    };
    let pair = |kind: &str, caller: &str| (kind.to_owned(), caller.to_owned());
    assert_eq!(callers(at_sender), [pair("transfer", "send")]);
    let expected = [
        ("image_fetched", "fetch"),
        ("image_deleted", "delete"),
        ("caller_refused", "fetch"),
        ("caller_refused", "nobody"),
    ];
    assert_eq!(callers(at_receiver), expected.map(|(kind, caller)| pair(kind, caller)));
}

#[test]
fn the_command_line_shows_a_token_and_never_in_clear() {
    let site = Site::open();
    let token = |name: &str| site.workplace.path(&format!("{name}.token")).to_string_lossy().into_owned();
    let send_url = format!("http://{}", site.sender.address);
    let image_url = format!("http://{}", site.receiver.images);
    let picture = binaries::sample(PICTURE);
    let picture = picture.to_string_lossy();
    let sent = Run::latentwire([
        "send",
        "--json",
        "--mode",
        "exact",
        "--sender",
        &send_url,
        "--token-file",
        &token("send"),
        &picture,
    ]);
    let id = sent.expect_success().object()["transfer_id"].as_str().expect("an id").to_owned();
    let output = site.workplace.path("got.jpg");
    let arguments = [
        "get",
        "--receiver",
        &image_url,
        &id,
        "-o",
        &output.to_string_lossy(),
        "--token-file",
        &token("fetch"),
    ];
    let _got = Run::latentwire(arguments).expect_success();
    for (command, url, name) in [("list", &image_url, "list"), ("watch", &image_url, "list")] {
        let rest: &[&str] = if command == "watch" { &["--count", "1"] } else { &[] };
        if command == "list" {
            let token = token(name);
            let _listed =
                Run::latentwire([command, "--receiver", url, "--token-file", &token]).expect_success();
        }
        let refused = Run::latentwire([&[command, "--receiver", url][..], rest].concat());
        assert!(
            refused.exit == 1 && refused.err.contains("UNAUTHENTICATED CALLER_UNKNOWN"),
            "{}",
            refused.err
        );
    }
    let models = ["models", "--sender", &send_url, "--token-file", &token("read-models"), "--json"];
    let _models = Run::latentwire(models).expect_success();
    let transfers = ["list", "transfers", "--sender", &send_url, "--token-file", &token("read-transfers")];
    let _transfers = Run::latentwire(transfers).expect_success();
    // Beyond loopback it does not even try.
    let clear = ["list", "--receiver", "http://receiver.invalid:50062", "--token-file", &token("list")];
    let refused = Run::latentwire(clear);
    assert!(refused.exit == 4 && refused.err.contains("in clear"), "{}", refused.err);
    // A token that others may read is none.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(site.workplace.path("list.token"), PermissionsExt::from_mode(0o644))
        .expect("changed");
    let refused = Run::latentwire(["list", "--receiver", &image_url, "--token-file", &token("list")]);
    assert!(refused.exit == 4 && refused.err.contains("chmod 600"), "{}", refused.err);
}
