//! Starting and stopping: readiness, and one clear sentence for everything that is not as it must be.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use receiver_svc::{Config, run};
use support::{Site, channel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

async fn refused(site: &Site, change: impl FnOnce(&mut Config)) -> String {
    let mut config = site.config(&[]);
    change(&mut config);
    match run(config, CancellationToken::new()).await {
        Ok(_) => panic!("the receiver started"),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test]
async fn it_serves_says_so_and_stops() {
    let site = Site::new();
    let receiver = site.start(&[]).await;
    let running = &receiver.running;
    let listening = running.listening();
    assert!(listening.starts_with(r#"{"event":"listening","transfer":"127.0.0.1:"#), "{listening}");
    for (address, service) in [
        (running.transfer_address, "latentwire.v1.TransferService"),
        (running.image_address, "latentwire.v1.ImageService"),
    ] {
        for service in ["", service] {
            let request = HealthCheckRequest { service: service.to_owned() };
            let status = HealthClient::new(channel(address).await).check(request).await.expect("answered");
            assert_eq!(status.into_inner().status(), ServingStatus::Serving, "{service:?}");
        }
    }
    let admin = running.admin_address;
    assert!(get(admin, "/readyz").await.starts_with("HTTP/1.1 200"));
    let metrics = get(admin, "/metrics").await;
    assert!(
        metrics.contains("latentwire_stored_bytes") && metrics.contains("latentwire_open_sessions"),
        "{metrics}"
    );
    let (transfer, image) = (running.transfer_address, running.image_address);
    receiver.stop().await.expect("drained");
    for address in [transfer, image, admin] {
        tokio::net::TcpListener::bind(address).await.expect("the port is free again");
    }
}

#[tokio::test]
async fn the_first_start_makes_a_storage_key_and_the_next_ones_need_it() {
    let site = Site::new();
    site.start(&[]).await.stop().await.expect("drained");
    let key = site.folder.path().join("data.storage.key");
    assert!(!site.data().join("storage.key").exists(), "the key lies beside what it seals");
    assert_eq!(fs::metadata(&key).expect("made").permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(site.data()).expect("made").permissions().mode() & 0o077, 0);
    site.start(&[]).await.stop().await.expect("drained");

    fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).expect("changed");
    let error = refused(&site, |_config| {}).await;
    assert!(error.contains("chmod 600"), "{error}");
    fs::remove_file(&key).expect("removed");
    let error = refused(&site, |_config| {}).await;
    assert!(error.contains("put the key back"), "{error}");
    let other = Site::new();
    other.start(&[]).await.stop().await.expect("drained");
    fs::copy(other.folder.path().join("data.storage.key"), &key).expect("copied");
    let error = refused(&site, |_config| {}).await;
    assert!(error.contains("give that key's file"), "{error}");
}

#[tokio::test]
async fn a_data_folder_that_is_in_use_or_no_folder() {
    let site = Site::new();
    let receiver = site.start(&[]).await;
    let error = refused(&site, |_config| {}).await;
    assert!(error.contains("in use by another process"), "{error}");
    receiver.stop().await.expect("drained");
    let file = site.folder.path().join("file");
    fs::write(&file, b"").expect("written");
    let error = refused(&site, |config| config.storage.data = file.clone()).await;
    assert!(error.contains("file"), "{error}");
}

#[tokio::test]
async fn keys_trust_models_and_ports_that_are_wrong() {
    let site = Site::new();
    let in_folder = |name: &str| site.folder.path().join(name);
    let error = refused(&site, |config| config.identity.key = in_folder("no.key")).await;
    assert!(error.contains("no.key"), "{error}");
    let error = refused(&site, |config| config.identity.trust = in_folder("no.toml")).await;
    assert!(error.contains("latentwire trust add"), "{error}");
    fs::set_permissions(in_folder("receiver.key"), PermissionsExt::from_mode(0o644)).expect("changed");
    let error = refused(&site, |_config| {}).await;
    assert!(error.contains("chmod 600"), "{error}");
    fs::set_permissions(in_folder("receiver.key"), PermissionsExt::from_mode(0o600)).expect("changed");
    let error = refused(&site, |config| config.models.models = PathBuf::from("no-such-folder")).await;
    assert!(error.contains("no-such-folder"), "{error}");
    let error = refused(&site, |config| config.models.model_pin = vec!["00".repeat(32)]).await;
    assert!(error.contains("pinned digest"), "{error}");
    let error = refused(&site, |config| config.listen_image = "0.0.0.0:0".parse().expect("an address")).await;
    assert!(error.contains("--callers") && error.contains("--insecure-callers-unauthenticated"), "{error}");
    let error = refused(&site, |config| {
        config.listen_image = "0.0.0.0:0".parse().expect("an address");
        config.callers.insecure_callers_unauthenticated = true;
    })
    .await;
    assert!(error.contains("--insecure-plaintext-beyond-loopback"), "{error}");
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("bound");
    let error = refused(&site, |config| config.admin = address).await;
    assert!(error.contains("--admin"), "{error}");
    site.start(&[]).await.stop().await.expect("and at last it starts");
}

#[tokio::test]
async fn a_model_folder_with_a_wrong_digest() {
    let site = Site::new();
    let models = site.folder.path().join("models");
    copy(&support::repository().join("common/codec/tests/models/sound"), &models);
    let tables = models.join("mono-brain").join("tables.bin");
    let mut bytes = fs::read(&tables).expect("there");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(&tables, bytes).expect("written");
    let error = refused(&site, |config| config.models.models = models.clone()).await;
    assert!(error.contains("tables.bin") && error.contains("SHA-256"), "{error}");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("there") {
        let entry = entry.expect("readable");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copied");
        }
    }
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer
}
