//! The same two services behind TLS that asks both ends for a certificate, and a bare TLS client to look at them.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    Run, Workplace,
    link::{Receiver, Sender},
    process::{Launch, Service, free_address},
};

/// Host that the sender's certificate is for, besides this machine.
pub const SENDER: &str = "sender.test";
/// Host that the receiver's certificate is for.
pub const RECEIVER: &str = "receiver.test";
/// Host that the gateway's certificate is for.
pub const GATEWAY: &str = "gateway.test";
/// Client whose certificate everybody knows.
pub const CLIENT: &str = "client";

/// The files of `latentwire certs dev`, below a workplace.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them for the hosts and the client of this module.
    ///
    /// # Panics
    /// `latentwire certs dev` fails.
    #[must_use]
    pub fn make(workplace: &Workplace, name: &str) -> Self {
        let folder = workplace.path(name);
        let output = folder.to_string_lossy().into_owned();
        let hosts = [SENDER, RECEIVER, GATEWAY].into_iter().flat_map(|host| ["--host", host]);
        let arguments = ["certs", "dev", "--quiet", "--output", &output].into_iter().chain(hosts);
        let _made = Run::latentwire(arguments).expect_success();
        Self { folder }
    }

    /// Those of a folder that is there.
    #[must_use]
    pub fn of(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// One of the files, as the command line names it.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// The flags of a service that serves as this host and asks clients for a certificate.
    #[must_use]
    pub fn serving(&self, host: &str) -> Vec<String> {
        let own = [("--tls-certificate", ".crt"), ("--tls-key", ".key")];
        let own = own
            .into_iter()
            .flat_map(|(flag, ending)| [flag.to_owned(), self.file(&format!("{host}{ending}"))]);
        own.chain(["--tls-client-ca".to_owned(), self.file("ca.crt")]).collect()
    }

    /// The flags of whoever calls under this name.
    #[must_use]
    pub fn calling(&self, name: &str) -> Vec<String> {
        let own = [("--client-certificate", ".crt"), ("--client-key", ".key")];
        let own = own
            .into_iter()
            .flat_map(|(flag, ending)| [flag.to_owned(), self.file(&format!("{name}{ending}"))]);
        ["--ca".to_owned(), self.file("ca.crt")].into_iter().chain(own).collect()
    }

    /// A TLS handshake with whoever listens there, showing the certificate of `name`, if any.
    ///
    /// # Errors
    /// The handshake failed; with TLS 1.3 a server's refusal of the client comes with the first read.
    ///
    /// # Panics
    /// A file is not as it must be.
    pub async fn connect(
        &self,
        address: SocketAddr,
        name: Option<&str>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.shake_hands(address, name, versions, vec![b"h2".to_vec()]).await
    }

    /// The same without a word on what is spoken inside, as DICOM has it.
    ///
    /// # Errors
    /// As [`Self::connect`].
    ///
    /// # Panics
    /// As [`Self::connect`].
    pub async fn connect_without_alpn(
        &self,
        address: SocketAddr,
        name: Option<&str>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.shake_hands(address, name, versions, Vec::new()).await
    }

    async fn shake_hands(
        &self,
        address: SocketAddr,
        name: Option<&str>,
        versions: &[&'static SupportedProtocolVersion],
        protocols: Vec<Vec<u8>>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.file("ca.crt")) {
            roots.add(certificate).expect("a CA");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let builder = builder.expect("known versions").with_root_certificates(roots);
        let mut config = match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = certificates(&self.file(&format!("{name}.crt")));
                let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key"))).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        config.alpn_protocols = protocols;
        let stream = TcpStream::connect(address).await?;
        let host = ServerName::try_from(address.ip().to_string()).expect("an address is a name");
        TlsConnector::from(Arc::new(config)).connect(host, stream).await
    }
}

/// What a server says first on a connection that it takes: HTTP/2's settings. With TLS 1.3 a client hears here that its
/// certificate is refused.
///
/// # Errors
/// It was refused.
pub async fn first_word(stream: &mut TlsStream<TcpStream>) -> std::io::Result<usize> {
    let mut bytes = [0; 64];
    stream.read(&mut bytes).await
}

/// The certificates of a PEM file.
///
/// # Panics
/// There are none.
#[must_use]
pub fn certificates(file: &str) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(file).expect("a PEM file");
    read.collect::<Result<_, _>>().expect("certificates")
}

/// Both sides behind mutual TLS, the sender's uplink too, with callers that the files of the workplace name.
#[derive(Debug)]
pub struct SecuredLink {
    /// The sending side.
    pub sender: Sender,
    /// The receiving side.
    pub receiver: Receiver,
    /// Certificates of all.
    pub certificates: Certificates,
    /// Keys, callers, data and logs of both.
    pub workplace: Workplace,
}

impl SecuredLink {
    /// Starts both; `client` may do everything, by the name in its certificate.
    ///
    /// # Panics
    /// A service does not start.
    #[must_use]
    pub fn open() -> Self {
        let workplace = Workplace::new();
        let certificates = Certificates::make(&workplace, "certs");
        let callers = workplace.path("callers.toml").to_string_lossy().into_owned();
        for (name, allowed) in
            [(CLIENT, "send,read-transfers,read-models,list,fetch,delete"), (GATEWAY, "send")]
        {
            let arguments = ["callers", "add", &callers, "--name", name, "--certificate-name", name];
            let _added = Run::latentwire(arguments.into_iter().chain(["--allow", allowed])).expect_success();
        }
        let mut extra = certificates.serving(RECEIVER);
        extra.extend(["--callers".to_owned(), callers.clone()]);
        let extra: Vec<&str> = extra.iter().map(String::as_str).collect();
        let receiver = Receiver::start(&workplace, &extra);
        let mut extra = [certificates.serving(SENDER), certificates.calling(SENDER)].concat();
        extra.extend(["--callers".to_owned(), callers]);
        let extra: Vec<&str> = extra.iter().map(String::as_str).collect();
        let address = free_address();
        let launch = Sender::launch(&workplace, "sender.key", address, receiver.transfer, &extra);
        let service =
            Service::start(over_tls(launch)).unwrap_or_else(|log| panic!("sender-svc did not start:\n{log}"));
        Self { sender: Sender { service, address }, receiver, certificates, workplace }
    }

    /// Runs `latentwire` as `name`: a command, its service's flag and address, and the rest.
    #[must_use]
    pub fn run_as(&self, name: &str, command: &[&str], rest: &[&str]) -> Run {
        let arguments: Vec<String> = command
            .iter()
            .chain(rest)
            .map(ToString::to_string)
            .chain(self.certificates.calling(name))
            .collect();
        Run::latentwire(arguments)
    }

    /// The https address of SendService.
    #[must_use]
    pub fn send_url(&self) -> String {
        format!("https://{}", self.sender.address)
    }

    /// The https address of ImageService.
    #[must_use]
    pub fn image_url(&self) -> String {
        format!("https://{}", self.receiver.images)
    }
}

/// The same command line with https where it says http.
#[must_use]
pub fn over_tls(launch: Launch) -> Launch {
    let over = |argument: &OsString| argument.to_string_lossy().replace("http://", "https://").into();
    Launch { arguments: launch.arguments.iter().map(over).collect(), ..launch }
}
