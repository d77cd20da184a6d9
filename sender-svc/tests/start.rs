//! A sender that cannot start says why in one sentence, and leaves no port taken.

mod support;

use std::path::PathBuf;

use latentwire_service::keys::write_new_key_file;
use latentwire_service::sealing::Role;
use sender_svc::{Config, run};
use support::{config, new_key, nobody};
use tokio_util::sync::CancellationToken;

async fn refused(change: impl FnOnce(&mut Config)) -> String {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut config = config(folder.path(), nobody(), &[]);
    change(&mut config);
    match run(config, CancellationToken::new()).await {
        Ok(_) => panic!("the sender started"),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test]
async fn a_configuration_that_is_wrong() {
    let error = refused(|config| config.models.models = PathBuf::from("no-such-folder")).await;
    assert!(error.contains("no-such-folder"), "{error}");
    let error = refused(|config| config.models.model_pin = vec!["00".repeat(32)]).await;
    assert!(error.contains("pinned digest"), "{error}");
    let error = refused(|config| config.models.model_pin = vec!["no digest".to_owned()]).await;
    assert!(error.contains("digest"), "{error}");
    let error = refused(|config| config.destination.clear()).await;
    assert!(error.contains("--destination"), "{error}");
    let error = refused(|config| config.listen = "0.0.0.0:0".parse().expect("an address")).await;
    assert!(error.contains("--callers") && error.contains("--insecure-callers-unauthenticated"), "{error}");
    let error = refused(|config| {
        config.listen = "0.0.0.0:0".parse().expect("an address");
        config.callers.insecure_callers_unauthenticated = true;
    })
    .await;
    assert!(error.contains("--insecure-plaintext-beyond-loopback"), "{error}");
    let folder = tempfile::tempdir().expect("temporary folder");
    let receiver_key = folder.path().join("receiver.key");
    write_new_key_file(&receiver_key, &new_key(Role::Receiver)).expect("the key is new");
    let error = refused(|config| config.key = receiver_key.clone()).await;
    assert!(error.contains("holds a receiver key"), "{error}");
}

#[tokio::test]
async fn a_port_is_free_again_after_a_failed_start() {
    let address = nobody();
    let error = refused(|config| {
        config.listen = address;
        config.models.models = PathBuf::from("no-such-folder");
    })
    .await;
    assert!(error.contains("no-such-folder"), "{error}");
    tokio::net::TcpListener::bind(address).await.expect("the port is free again");
}
