//! TLS around every port: who is let in, who is not, what is negotiated, and how certificates are renewed.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use latentwire_proto::v1::{WatchImagesRequest, image_service_client::ImageServiceClient};
use latentwire_service::dial::{CallerDial, CredentialArgs};
use latentwire_service::tls::ClientTlsArgs;
use latentwire_tests::{
    Gateway, Instance, Modality, Run, SecuredLink, Workplace, admin, binaries,
    client::block_on,
    link::Receiver,
    outcome,
    process::{Launch, Service, free_address},
    secured::{CLIENT, Certificates, GATEWAY, RECEIVER, certificates, first_word, over_tls},
};
use rustls::{
    NamedGroup,
    version::{TLS12, TLS13},
};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

const PICTURE: &str = "brain_mri/test/sartaj_0b938fbd0a.jpg";
const HYBRID: &str = "latentwire_tls_handshakes_total{group=\"X25519MLKEM768\"}";
/// Changed files are looked for every two seconds.
const NOTICED: Duration = Duration::from_secs(40);

#[test]
fn the_journey_runs_over_mutual_tls_and_who_does_not_belong_is_refused() {
    let link = SecuredLink::open();
    let delivered = send(&link);
    outcome::check_delivered(&delivered);
    let id = delivered["transfer_id"].as_str().expect("an id");
    let output = link.workplace.path("received.jpg");
    let fetched = link.run_as(
        CLIENT,
        &["get", "--receiver", &link.image_url()],
        &[id, "-o", &output.to_string_lossy()],
    );
    let _fetched = fetched.expect_success();
    assert_eq!(fs::read(&output).expect("fetched"), fs::read(binaries::sample(PICTURE)).expect("a sample"));
    for (command, url) in [("health", link.send_url()), ("health", link.image_url())] {
        let _healthy = link.run_as(CLIENT, &[command, &url], &[]).expect_success();
    }

    // Every connection of ours has negotiated the hybrid group, the sender's uplink among them.
    for service in [&link.sender.service, &link.receiver.service] {
        let page = admin::get(service.admin(), "/metrics").expect("the admin port answers").body;
        assert!(page.contains(HYBRID), "{page}");
        let others = page
            .lines()
            .filter(|line| line.starts_with("latentwire_tls_handshakes_total{") && !line.starts_with(HYBRID));
        assert_eq!(others.count(), 0, "{page}");
    }

    let ca = link.certificates.file("ca.crt");
    let other = Certificates::make(&link.workplace, "others");
    let refused = |url: &str, arguments: &[&str], word: &str| {
        let run = Run::latentwire([&["health", url][..], arguments].concat());
        assert_eq!(run.exit, 3, "{arguments:?}: {}\n{}", run.out, run.err);
        assert!(run.err.contains(word), "{word}: {}", run.err);
    };
    let transfer = format!("https://{}", link.receiver.transfer);
    for url in [&link.send_url(), &link.image_url(), &transfer] {
        refused(&url.replace("https", "http"), &[], "SERVICE_UNREACHABLE");
        refused(url, &["--ca", &other.file("ca.crt")], "its certificate is not of the CA that --ca names");
        refused(url, &["--ca", &ca], "pass --client-certificate and --client-key");
        let stranger = other.calling(CLIENT);
        let mut stranger: Vec<&str> = stranger.iter().map(String::as_str).collect();
        stranger[1] = &ca;
        refused(url, &stranger, "does not take this client's certificate");
    }
    let run = Run::latentwire(["health", &link.send_url()]);
    assert!(run.exit == 4 && run.err.contains("no CA is given: pass --ca FILE"), "{}", run.err);
    block_on(bare_clients(&link));
    outcome::check_delivered(&send(&link));
}

/// What a client other than ours sees.
async fn bare_clients(link: &SecuredLink) {
    for address in [link.sender.address, link.receiver.transfer, link.receiver.images] {
        let mut stream =
            link.certificates.connect(address, Some(CLIENT), &[&TLS13]).await.expect("a handshake");
        assert!(first_word(&mut stream).await.expect("HTTP/2 begins") > 0);
        let group = stream.get_ref().1.negotiated_key_exchange_group().expect("negotiated");
        assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));

        let older = link.certificates.connect(address, Some(CLIENT), &[&TLS12]).await;
        assert!(older.expect_err("TLS 1.2").to_string().contains("ProtocolVersion"));

        // An expired certificate of the right CA: ours refuse to show one, so a bare client does.
        let expired = expired_client(link);
        let mut stream = expired.connect(address, Some("late"), &[&TLS13]).await.expect("half a handshake");
        let refusal = first_word(&mut stream).await.expect_err("expired").to_string();
        assert!(refusal.contains("CertificateExpired"), "{refusal}");
    }
}

/// A certificate of the link's CA that ended yesterday.
fn expired_client(link: &SecuredLink) -> Certificates {
    use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
    let authority = fs::read_to_string(link.certificates.file("ca.key")).expect("a key");
    let mut name = CertificateParams::default();
    name.distinguished_name = rcgen::DistinguishedName::new();
    name.distinguished_name.push(DnType::CommonName, "Latentwire development CA (not for patients)");
    let issuer = Issuer::new(name, KeyPair::from_pem(&authority).expect("a key"));
    let mut params = CertificateParams::new(vec!["late".to_owned()]).expect("a name");
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    let now = time::OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - time::Duration::days(2), now - time::Duration::days(1));
    let key = KeyPair::generate().expect("a key");
    let signed = params.signed_by(&key, &issuer).expect("signed");
    fs::write(link.certificates.file("late.crt"), signed.pem()).expect("written");
    fs::write(link.certificates.file("late.key"), key.serialize_pem()).expect("written");
    Certificates::of(link.workplace.path("certs"))
}

#[test]
fn a_renewed_certificate_is_taken_and_open_streams_go_on() {
    let mut link = SecuredLink::open();
    let old = served(&link, link.receiver.images).expect("served");
    let (mut watch, runtime) = watching(&link);

    // The same CA, a new pair for the receiver: first the certificate alone, which does not fit the key.
    let renewed = Certificates::of(link.workplace.new_folder("renewed"));
    for file in ["ca.crt", "ca.key"] {
        fs::copy(link.certificates.file(file), renewed.file(file)).expect("copied");
    }
    let output = link.workplace.path("renewed").to_string_lossy().into_owned();
    let arguments = ["certs", "dev", "--output", &output, "--host", RECEIVER];
    let _made = Run::latentwire(arguments).expect_success();
    let (certificate, key) = (format!("{RECEIVER}.crt"), format!("{RECEIVER}.key"));
    fs::rename(renewed.file(&certificate), link.certificates.file(&certificate)).expect("renamed");
    link.receiver.service.signal_reload();
    until(&link.receiver.service, "do not belong together");
    assert_eq!(served(&link, link.receiver.images), Some(old.clone()), "the old pair stays in force");

    fs::rename(renewed.file(&key), link.certificates.file(&key)).expect("renamed");
    let begun = Instant::now();
    while served(&link, link.receiver.images) == Some(old.clone()) {
        assert!(begun.elapsed() < NOTICED, "not noticed:\n{}", link.receiver.service.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let new = certificates(&link.certificates.file(&certificate));
    assert_eq!(served(&link, link.receiver.images), Some(new[0].to_vec()));
    assert_eq!(served(&link, link.receiver.transfer), Some(new[0].to_vec()));

    // A broken file, and one that others may read, change nothing.
    fs::write(link.certificates.file(&certificate), "no certificate").expect("written");
    link.receiver.service.signal_reload();
    until(&link.receiver.service, "there is no certificate in it");
    assert_eq!(served(&link, link.receiver.images), Some(new[0].to_vec()));
    let page = admin::get(link.receiver.service.admin(), "/metrics").expect("the admin port answers").body;
    assert!(page.contains("latentwire_tls_last_reload_successful 0"), "{page}");
    assert!(page.contains("latentwire_tls_certificate_expiry_timestamp_seconds 1"), "{page}");

    // The stream that was open before all this hears of what arrives now.
    outcome::check_delivered(&send(&link));
    let heard =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), watch.message()).await });
    let heard = heard.expect("in time").expect("the stream goes on").expect("an event");
    assert!(heard.image.is_some());
}

/// A watch of ImageService over TLS that is open, and the runtime that it lives in.
fn watching(
    link: &SecuredLink,
) -> (tonic::Streaming<latentwire_proto::v1::WatchImagesResponse>, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let credentials = CredentialArgs {
        tls: ClientTlsArgs {
            ca: Some(link.certificates.file("ca.crt").into()),
            client_certificate: Some(link.certificates.file("client.crt").into()),
            client_key: Some(link.certificates.file("client.key").into()),
            ..ClientTlsArgs::default()
        },
        token_file: None,
    };
    let watch = runtime.block_on(async {
        let address = link.image_url().parse().expect("an address");
        let connection = CallerDial::new(&address, &credentials).expect("files").connect().await;
        let mut client = ImageServiceClient::new(connection.expect("connected"));
        client.watch_images(WatchImagesRequest::default()).await.expect("a watch").into_inner()
    });
    (watch, runtime)
}

/// The certificate that is shown there now.
fn served(link: &SecuredLink, address: SocketAddr) -> Option<Vec<u8>> {
    block_on(async {
        let stream = link.certificates.connect(address, Some(CLIENT), &[&TLS13]).await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
    })
}

fn until(service: &Service, word: &str) {
    let begun = Instant::now();
    while !service.log().contains(word) {
        assert!(begun.elapsed() < NOTICED, "nothing is said of {word:?}:\n{}", service.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_modality_stores_over_dicom_tls_and_the_gateway_calls_over_mutual_tls() {
    let link = SecuredLink::open();
    let flags = [link.certificates.serving(GATEWAY), link.certificates.calling(GATEWAY)].concat();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let dicom = free_address();
    let launch = over_tls(Gateway::launch(&link.workplace, dicom, link.sender.address, &flags));
    let service = Service::start(launch).unwrap_or_else(|log| panic!("pacs-gateway did not start:\n{log}"));
    let gateway = Gateway { service, dicom };
    let object = Instance::read(&first_dicom());
    for (number, version) in [(1, &TLS13), (2, &TLS12)] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let tunnel = listener.local_addr().expect("bound");
        let certificates = Certificates::of(link.workplace.path("certs"));
        // The modality speaks DICOM alone; a tunnel beside it speaks TLS, as many sites have it.
        runtime.spawn(async move {
            let (mut plain, _) = listener.accept().await.expect("the modality");
            let mut secured =
                certificates.connect_without_alpn(dicom, Some(CLIENT), &[version]).await.expect("TLS");
            // It ends when either side goes away.
            let _ = tokio::io::copy_bidirectional(&mut plain, &mut secured).await;
        });
        let object = object.renamed(number);
        let mut modality = Modality::open(tunnel, &[&object]).expect("an association");
        let answer = modality.store(&object);
        assert_eq!(answer.status, 0, "{answer:?}\n{}", gateway.service.log());
        modality.release();
    }
    assert!((gateway.measure("latentwire_dicom_objects_total", "status=\"0000\"") - 2.0).abs() < 0.1);
    block_on(async {
        // DICOM in clear is not even answered.
        let mut plain = TcpStream::connect(dicom).await.expect("it listens");
        tokio::io::AsyncWriteExt::write_all(&mut plain, &[1, 0, 0, 0, 0, 4, 0, 0, 0, 0]).await.expect("sent");
        let mut answer = Vec::new();
        let _ended = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer).await;
        assert!(answer.is_empty() || answer[0] == 21, "no alert of TLS: {answer:?}");
    });
}

fn first_dicom() -> std::path::PathBuf {
    let dicom = |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "dcm");
    binaries::samples().into_iter().find(dicom).expect("a DICOM sample")
}

#[test]
fn what_is_wrong_with_the_files_is_said_at_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let workplace = Workplace::new();
    let certificates = Certificates::make(&workplace, "certs");
    let (certificate, key) = (certificates.file("receiver.test.crt"), certificates.file("receiver.test.key"));
    let open_key = workplace.write("open.key", &fs::read(&key).expect("a key"));
    fs::set_permissions(&open_key, PermissionsExt::from_mode(0o644)).expect("changed");
    let link = workplace.path("link.key");
    std::os::unix::fs::symlink(&key, &link).expect("linked");
    let (open_key, link) = (open_key.to_string_lossy(), link.to_string_lossy());
    let empty = workplace.write("empty.crt", b"");
    let empty = empty.to_string_lossy();
    let expired = expired_server(&workplace);
    let other = certificates.file("sender.test.key");
    for (flags, word) in [
        (vec!["--tls-certificate", &certificate], "--tls-key"),
        (vec!["--tls-certificate", &certificate, "--tls-key", &other], "do not belong together"),
        (vec!["--tls-certificate", &certificate, "--tls-key", &open_key], "chmod 600"),
        (vec!["--tls-certificate", &certificate, "--tls-key", &link], "symbolic link"),
        (vec!["--tls-certificate", &empty, "--tls-key", &key], "there is no certificate in it"),
        (vec!["--tls-certificate", &key, "--tls-key", &key], "there is no certificate in it"),
        (vec!["--tls-certificate", &certificate, "--tls-key", &certificate], "holds no private key"),
        (vec!["--tls-certificate", &expired.0, "--tls-key", &expired.1], "expired at"),
        (
            vec!["--tls-certificate", &certificate, "--tls-key", &key, "--listen-image", "0.0.0.0:0"],
            "without --callers",
        ),
    ] {
        let said = refusal(&workplace, &flags);
        assert!(said.contains(word), "{flags:?}: {said}");
    }
    // Mounted by an orchestrator, a link and root's ownership are as they must be; with TLS and callers, any address is.
    let callers = workplace.write("callers.toml", b"");
    let callers = callers.to_string_lossy();
    let flags = ["--tls-certificate", &certificate, "--tls-key", &link, "--tls-key-source", "mounted"];
    let everywhere = ["--listen-image", "0.0.0.0:0", "--listen-transfer", "0.0.0.0:0", "--callers", &callers];
    let launch = bare_launch(&workplace, &[&flags[..], &everywhere].concat());
    let service = Service::start(launch).unwrap_or_else(|log| panic!("it did not start:\n{log}"));
    assert!(service.log().contains("no caller is listed"), "{}", service.log());
}

/// A receiver whose listeners are those of `flags` alone.
fn bare_launch(workplace: &Workplace, flags: &[&str]) -> Launch {
    let data = workplace.path("receiver-data");
    let mut launch = Receiver::launch(workplace, &data, free_address(), free_address(), flags);
    for flag in ["--listen-image", "--listen-transfer"] {
        if flags.contains(&flag) {
            let place = launch.arguments.iter().position(|argument| argument == flag).expect("it is there");
            launch.arguments.drain(place..place + 2);
        }
    }
    launch
}

fn refusal(workplace: &Workplace, flags: &[&str]) -> String {
    let launch = bare_launch(workplace, flags);
    let before = fs::read_to_string(&launch.log).unwrap_or_default().len();
    let mut service = Service::spawn(launch);
    let status = service.exit_within(Duration::from_secs(60)).expect("it ends");
    assert!(!status.success(), "{flags:?}");
    service.log()[before..].to_owned()
}

/// A certificate of nobody's that ended yesterday, and its key.
fn expired_server(workplace: &Workplace) -> (String, String) {
    use std::os::unix::fs::PermissionsExt;
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let now = time::OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - time::Duration::days(2), now - time::Duration::days(1));
    let key = rcgen::KeyPair::generate().expect("a key");
    let signed = params.self_signed(&key).expect("signed");
    let certificate = workplace.write("expired.crt", signed.pem().as_bytes());
    let secret = workplace.write("expired.key", key.serialize_pem().as_bytes());
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("changed");
    (certificate.to_string_lossy().into_owned(), secret.to_string_lossy().into_owned())
}

fn send(link: &SecuredLink) -> Value {
    let picture = binaries::sample(PICTURE);
    let rest = ["--json", "--mode", "exact", &picture.to_string_lossy()];
    link.run_as(CLIENT, &["send", "--sender", &link.send_url()], &rest).object()
}
