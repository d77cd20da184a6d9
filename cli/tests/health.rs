//! `latentwire health` against a real health service: what it prints and how it ends.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
};

use tonic_health::{ServingStatus, server::health_reporter};

const SERVICE: &str = "latentwire.v1.SendService";

fn health(address: SocketAddr, extra: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latentwire"));
    command.arg("health").arg(format!("http://{address}")).args(extra);
    command.output().expect("latentwire can be started")
}

fn ended(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("127.0.0.1 has free ports");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_healthy_only_while_it_says_so() {
    let (reporter, service) = health_reporter();
    reporter.set_service_status(SERVICE, ServingStatus::Serving).await;
    let (listener, address) = bound();
    listener.set_nonblocking(true).expect("a socket can be made non-blocking");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime runs");
    let connections = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(connections));
    let ask = |extra: &'static [&'static str]| async move {
        let output = tokio::task::spawn_blocking(move || health(address, extra)).await;
        ended(&output.expect("no panic"))
    };

    assert_eq!(ask(&["--service", SERVICE]).await, (Some(0), "SERVING\n".to_owned()));
    let (exit, text) = ask(&["--service", "latentwire.v1.None"]).await;
    assert!(exit == Some(1) && text.contains("SERVICE_UNKNOWN"), "{exit:?} {text}");
    reporter.set_service_status(SERVICE, ServingStatus::NotServing).await;
    let (exit, text) = ask(&["--service", SERVICE]).await;
    assert!(exit == Some(1) && text.contains("NOT_SERVING"), "{exit:?} {text}");
}

#[test]
fn a_silent_port_and_a_closed_one_are_unreachable() {
    // Bound and never accepted from: the connection is made, and nobody speaks.
    let (_silent, address) = bound();
    let (exit, text) = ended(&health(address, &["--timeout", "1"]));
    assert!(exit == Some(3) && text.contains("SERVICE_UNREACHABLE"), "{exit:?} {text}");
    let (closed, address) = bound();
    drop(closed);
    let (exit, text) = ended(&health(address, &[]));
    assert!(exit == Some(3) && text.contains("SERVICE_UNREACHABLE"), "{exit:?} {text}");
}
