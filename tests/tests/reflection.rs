//! grpcurl walks both services without a `.proto` file.

use std::{net::SocketAddr, path::PathBuf, process::Command};

use latentwire_tests::{Link, binaries, client};
use serde_json::Value;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const SEND: &str = "latentwire.v1.SendService";
const TRANSFER: &str = "latentwire.v1.TransferService";
const IMAGES: &str = "latentwire.v1.ImageService";
const HEALTH: &str = "grpc.health.v1.Health";

#[test]
fn every_port_lists_describes_and_answers() {
    let link = Link::open();
    let ports = [
        (link.sender.address, SEND, "SendImage"),
        (link.receiver.transfer, TRANSFER, "Session"),
        (link.receiver.images, IMAGES, "GetImage"),
    ];
    for (address, service, method) in ports {
        let listed = grpcurl(address, &["list"]);
        for name in [service, HEALTH] {
            assert!(listed.lines().any(|line| line == name), "{address} does not list {name}:\n{listed}");
        }
        assert_eq!(listed_by_version_1(address), listed.lines().collect::<Vec<_>>(), "{address}");
        let described = grpcurl(address, &["describe", service]);
        assert!(described.contains(&format!("service {}", service.rsplit('.').next().unwrap_or_default())));
        assert!(described.contains(&format!("rpc {method} (")), "{described}");
        for name in ["", service] {
            let request = format!("{{\"service\":\"{name}\"}}");
            let health = object(address, &["-d", &request], "grpc.health.v1.Health/Check");
            assert_eq!(health["status"], "SERVING", "{service} {name:?}");
        }
    }
    let others =
        [(link.sender.address, IMAGES), (link.receiver.images, TRANSFER), (link.receiver.transfer, IMAGES)];
    for (address, service) in others {
        let listed = grpcurl(address, &["list"]);
        assert!(!listed.contains(service), "{address} must not serve {service}:\n{listed}");
    }
}

#[test]
fn messages_are_described_and_calls_answered() {
    let link = Link::open();
    let described = grpcurl(link.sender.address, &["describe", "latentwire.v1.ImageHeader"]);
    assert!(described.contains("bytes transfer_id = 2"), "{described}");

    let models = object(link.sender.address, &[], &format!("{SEND}/ListModels"));
    let models = models["models"].as_array().expect("models").clone();
    let ids: Vec<_> = models.iter().filter_map(|model| model["id"].as_str()).collect();
    for id in ["ae224-brain", "ae224-chest", "ae224-fundus"] {
        assert!(ids.contains(&id), "{ids:?}");
    }
    assert!(models.iter().all(|model| model["encoder"] == true && model["decoder"] == true), "{models:?}");

    let empty = object(link.receiver.images, &[], &format!("{IMAGES}/ListImages"));
    assert!(empty["images"].is_null(), "{empty}");
    let sample = binaries::sample("brain_mri/test/sartaj_0b938fbd0a.jpg");
    let _sent = link.send(&[sample], &["--study-group", "walk"]).expect_success();
    let listed =
        object(link.receiver.images, &["-d", r#"{"studyGroup":"walk"}"#], &format!("{IMAGES}/ListImages"));
    assert_eq!(listed["images"].as_array().map(Vec::len), Some(1), "{listed}");
    let transfers = object(link.sender.address, &[], &format!("{SEND}/ListTransfers"));
    assert_eq!(transfers["transfers"][0]["status"], "TRANSFER_STATUS_DELIVERED", "{transfers}");
}

#[test]
fn a_refusal_says_its_reason() {
    let link = Link::open();
    let request = r#"{"transferId":"AAAAAAAAAAAAAAAAAAAAAA=="}"#;
    let refused = run(link.receiver.images, &["-d", request], &[&format!("{IMAGES}/GetImage")]);
    assert!(
        !refused.0 && refused.1.contains("NotFound") && refused.1.contains("IMAGE_NOT_FOUND"),
        "{}",
        refused.1
    );
    let malformed =
        run(link.receiver.images, &["-d", r#"{"imageId":"AAAA"}"#], &[&format!("{IMAGES}/DeleteImage")]);
    assert!(!malformed.0 && malformed.1.contains("INVALID_FIELD"), "{}", malformed.1);
}

/// The services that reflection version 1 lists; grpcurl 1.8 asks v1alpha.
fn listed_by_version_1(address: SocketAddr) -> Vec<String> {
    client::block_on(async {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut reflection = ServerReflectionClient::new(client::channel(address).await);
        let requests = tokio_stream::once(request);
        let mut responses =
            reflection.server_reflection_info(requests).await.expect("version 1 is served").into_inner();
        let response = responses.message().await.expect("an answer").expect("an answer").message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = response else {
            panic!("no list: {response:?}")
        };
        let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
        names.sort();
        names
    })
}

fn object(address: SocketAddr, flags: &[&str], method: &str) -> Value {
    let (done, text) = run(address, flags, &[method]);
    assert!(done, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

fn grpcurl(address: SocketAddr, words: &[&str]) -> String {
    let (done, text) = run(address, &[], words);
    assert!(done, "{text}");
    text
}

/// Whether grpcurl succeeded, and all it said.
fn run(address: SocketAddr, flags: &[&str], words: &[&str]) -> (bool, String) {
    let output = Command::new(program())
        .args(["-plaintext", "-max-time", "30"])
        .args(flags)
        .arg(address.to_string())
        .args(words)
        .output()
        .expect("grpcurl can be started");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn program() -> PathBuf {
    let program = binaries::repository().join(".tools/grpcurl");
    assert!(
        program.is_file(),
        "{} is missing: run scripts/fetch-grpcurl.sh, or `make test`",
        program.display()
    );
    program
}
