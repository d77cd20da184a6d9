//! Checks of ports and peers: what is free, what is ours, what answers and serves.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    time::{Duration, SystemTime},
};

use latentwire_service::destinations::{DestinationError, Destinations};
use latentwire_service::dial::{CallerDial, CredentialArgs, explain};
use latentwire_service::peer_address::PeerAddress;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::{Code, Request};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{Finding, clock::PeerClock};
use crate::{
    args::{DoctorArgs, RoleArg},
    connect::dial,
};

const SEND: &str = "latentwire.v1.SendService";
const TRANSFER: &str = "latentwire.v1.TransferService";
const IMAGE: &str = "latentwire.v1.ImageService";

/// The services' own ports on loopback, and whose they are.
const PORTS: [(u16, &str, RoleArg); 5] = [
    (50051, "sender-svc's SendService", RoleArg::Sender),
    (9451, "sender-svc's admin port", RoleArg::Sender),
    (50061, "receiver-svc's TransferService", RoleArg::Receiver),
    (50062, "receiver-svc's ImageService", RoleArg::Receiver),
    (9461, "receiver-svc's admin port", RoleArg::Receiver),
];

/// Most of an admin port's answer that is read.
const MOST_ANSWER_BYTES: u64 = 1 << 20;

/// The ports: free, or held by a service of ours.
pub async fn ports(args: &DoctorArgs) -> Vec<Finding> {
    let limit = Duration::from_secs(args.timeout);
    let mut ports: Vec<(SocketAddr, String)> =
        args.port.iter().map(|address| (*address, String::new())).collect();
    if ports.is_empty() {
        let ours = PORTS.into_iter().filter(|(.., role)| args.role.is_none_or(|wanted| wanted == *role));
        ports = ours.map(|(port, name, _)| (([127, 0, 0, 1], port).into(), format!(" ({name})"))).collect();
    }
    let mut findings = Vec::new();
    for (address, name) in ports {
        findings.push(port(args, address, &name, limit).await);
    }
    findings
}

async fn port(args: &DoctorArgs, address: SocketAddr, name: &str, limit: Duration) -> Finding {
    match TcpListener::bind(address) {
        Ok(_listener) => return Finding::ok("port", format!("{address}{name} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {}
        Err(error) => {
            let advice =
                "choose an address of this machine, and a port above 1023 or a service with the right to it";
            return Finding::fail("port", format!("{address}{name} cannot be listened on: {error}"), advice);
        }
    }
    let held = |what: &str| Finding::ok("port", format!("{address}{name} is held by {what}"));
    let scheme = if args.tls.is_on() { "https" } else { "http" };
    let local = dial(&format!("{scheme}://{}", reachable(address)), &args.credentials);
    if let Ok(local) = &local {
        for (service, what) in [(SEND, "sender-svc"), (TRANSFER, "receiver-svc"), (IMAGE, "receiver-svc")] {
            match ask(local, service, limit).await {
                Ok((ServingStatus::Serving, _)) => return held(&format!("{what}, which serves")),
                Ok(_) => {
                    let message = format!("{address}{name} is held by {what}, which does not serve");
                    return Finding::warn("port", message, "it is starting or stopping: see its log");
                }
                Err(Refusal::NoSuchService) => {}
                Err(_) => break,
            }
        }
    }
    if admin_is_ours(reachable(address), limit).await {
        return held("a Latentwire service's admin port");
    }
    let advice =
        format!("stop what listens there (ss -ltnp 'sport = :{}'), or choose another port", address.port());
    Finding::fail("port", format!("{address}{name} is held by another program"), advice)
}

/// Where a listener on this address can be called.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr =
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        reachable.set_ip(loopback);
    }
    reachable
}

/// Whether `/metrics` there speaks of Latentwire.
async fn admin_is_ours(address: SocketAddr, limit: Duration) -> bool {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(MOST_ANSWER_BYTES).read_to_end(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    matches!(timeout(limit, answer).await, Ok(Ok(text)) if text.starts_with("HTTP/1.1 200") && text.contains("latentwire_"))
}

/// The services and peers that the command line names: reachable, serving; and what time it is there.
pub async fn services(args: &DoctorArgs) -> (Vec<Finding>, Vec<PeerClock>) {
    let limit = Duration::from_secs(args.timeout);
    let (mut findings, mut clocks) = (Vec::new(), Vec::new());
    let mut named = Vec::new();
    let own = &args.credentials;
    named.extend(
        args.sender.iter().map(|url| ("sender", "sender-svc".to_owned(), url.clone(), SEND, own.clone())),
    );
    named.extend(
        args.receiver
            .iter()
            .map(|url| ("receiver", "receiver-svc".to_owned(), url.clone(), IMAGE, own.clone())),
    );
    match destinations(args) {
        Ok(destinations) => named.extend(destinations.iter().map(|destination| {
            let shown = CredentialArgs { tls: destination.tls.clone(), token_file: None };
            ("destination", destination.name.clone(), destination.address.to_string(), TRANSFER, shown)
        })),
        Err(error) => findings.push(Finding::fail(
            "destination",
            error.to_string(),
            "write it as sender-svc takes it: NAME=URL,PUBLICKEY, the key itself or the file that holds it",
        )),
    }
    let mut asked = BTreeSet::new();
    for (check, name, url, service, credentials) in named {
        if !asked.insert((url.clone(), service)) {
            continue;
        }
        let peer = Peer { check, name, url, service, credentials };
        let (finding, clock) = one(&peer, limit).await;
        findings.push(finding);
        clocks.extend(clock);
    }
    (findings, clocks)
}

/// The receivers of sender-svc's configuration; none is no fault here.
fn destinations(args: &DoctorArgs) -> Result<Destinations, DestinationError> {
    match Destinations::read(&args.destination, args.destinations.as_deref(), &args.credentials.tls) {
        Err(DestinationError::None) if args.destinations.is_none() => Ok(Destinations::default()),
        other => other,
    }
}

/// Whom to ask, and what to show there.
struct Peer {
    check: &'static str,
    name: String,
    url: String,
    service: &'static str,
    credentials: CredentialArgs,
}

async fn one(peer: &Peer, limit: Duration) -> (Finding, Option<PeerClock>) {
    let Peer { check, name, url, service, credentials } = peer;
    let address: PeerAddress = match url.parse() {
        Ok(address) => address,
        Err(error) => {
            let advice = "write http://HOST:PORT, or https://HOST:PORT";
            return (Finding::fail(check, format!("{name}: {error}"), advice), None);
        }
    };
    let dial = match dial(url, credentials) {
        Ok(dial) => dial,
        Err(failure) => {
            return (
                Finding::fail(check, format!("{name}: {}", failure.message), "mend the files that TLS needs"),
                None,
            );
        }
    };
    match ask(&dial, service, limit).await {
        Ok((status, clock)) => {
            let finding = if status == ServingStatus::Serving {
                Finding::ok(check, format!("{name} at {address} serves"))
            } else {
                let message = format!("{name} at {address} answers and does not serve");
                Finding::fail(
                    check,
                    message,
                    "it is starting or stopping, or its models do not load: see its log",
                )
            };
            (finding, clock.map(|clock| PeerClock { peer: format!("{name} at {address}"), ..clock }))
        }
        Err(refusal) => (refusal.finding(check, &format!("{name} at {address}"), service), None),
    }
}

/// Why a service gave no answer of its health.
enum Refusal {
    /// Nobody listens there, or the network does not lead there.
    Unreachable(String),
    /// It took too long.
    Silent,
    /// A gRPC server answers that has no such service.
    NoSuchService,
    /// Something else answers.
    Other(String),
}

impl Refusal {
    fn finding(&self, check: &'static str, peer: &str, service: &str) -> Finding {
        match self {
            Self::Unreachable(cause) => Finding::fail(
                check,
                format!("{peer} cannot be reached: {cause}"),
                "start it there, check address and port, and let the firewall pass TCP to it",
            ),
            Self::Silent => Finding::fail(
                check,
                format!("{peer} does not answer"),
                "a firewall may swallow the packets, or the machine hangs: try from another machine, or a longer --timeout",
            ),
            Self::NoSuchService => Finding::fail(
                check,
                format!("{peer} is a gRPC server without {service}"),
                "this is another service's port: 50051 SendService, 50061 TransferService, 50062 ImageService",
            ),
            Self::Other(what) => Finding::fail(
                check,
                format!("{peer} is no Latentwire service: {what}"),
                "check the port: 50051 SendService, 50061 TransferService, 50062 ImageService",
            ),
        }
    }
}

/// Asks by `grpc.health.v1` whether a service serves; with the time there, if the answer has it.
async fn ask(
    dial: &CallerDial,
    service: &str,
    limit: Duration,
) -> Result<(ServingStatus, Option<PeerClock>), Refusal> {
    let asking = async {
        let channel = dial.connect().await.map_err(|error| Refusal::Unreachable(explain(&error)))?;
        let mut client = HealthClient::new(channel);
        let asked = SystemTime::now();
        let request = Request::new(HealthCheckRequest { service: service.to_owned() });
        let response = client.check(request).await.map_err(|status| {
            if status.code() == Code::NotFound {
                return Refusal::NoSuchService;
            }
            let cause = std::error::Error::source(&status).map(explain);
            Refusal::Other(format!("{:?}: {}", status.code(), cause.as_deref().unwrap_or(status.message())))
        })?;
        let said = response.metadata().get("date").and_then(|date| date.to_str().ok());
        let said = said.and_then(|date| httpdate::parse_http_date(date).ok());
        let answered = SystemTime::now();
        let clock = said.map(|said| PeerClock { peer: String::new(), said, asked, answered });
        Ok((response.into_inner().status(), clock))
    };
    timeout(limit, asking).await.unwrap_or(Err(Refusal::Silent))
}
