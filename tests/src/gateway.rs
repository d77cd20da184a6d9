//! A pacs-gateway before a sender.

use std::{
    ffi::OsString,
    net::{SocketAddr, TcpListener},
};

use crate::{
    admin::{self, Sample},
    binaries,
    process::{Launch, Service, free_address},
    workplace::Workplace,
};

/// AE title of the gateway where a test gives none.
pub const AE_TITLE: &str = "LATENTWIRE";

/// How often it is started on other ports because somebody took one in the meantime.
const ATTEMPTS: usize = 5;

/// Something in a sender's place that takes connections and never says a word.
///
/// # Panics
/// There is no free port.
#[must_use]
pub fn mute_sender() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("127.0.0.1 has free ports");
    let address = listener.local_addr().expect("a bound listener has an address");
    (listener, address)
}

/// A pacs-gateway that is ready.
#[derive(Debug)]
pub struct Gateway {
    /// The process.
    pub service: Service,
    /// Address of the DICOM port.
    pub dicom: SocketAddr,
}

impl Gateway {
    /// Starts a gateway on ports that the operating system chooses; `sender` need not listen.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(workplace: &Workplace, sender: SocketAddr, extra: &[&str]) -> Self {
        for _ in 0..ATTEMPTS {
            let dicom = free_address();
            match Service::start(Self::launch(workplace, dicom, sender, extra)) {
                Ok(service) => return Self { service, dicom },
                Err(log) if log.contains("cannot listen there") => {}
                Err(log) => panic!("pacs-gateway did not start:\n{log}"),
            }
        }
        panic!("pacs-gateway found no free port")
    }

    /// The command line of a gateway.
    #[must_use]
    pub fn launch(workplace: &Workplace, dicom: SocketAddr, sender: SocketAddr, extra: &[&str]) -> Launch {
        let admin = free_address();
        let mut arguments: Vec<OsString> = Vec::new();
        for (flag, value) in [
            ("--listen", dicom.to_string().into()),
            ("--admin", admin.to_string().into()),
            ("--sender", format!("http://{sender}").into()),
            ("--data", workplace.path("gateway-data").into_os_string()),
        ] {
            arguments.extend([flag.into(), value]);
        }
        arguments.extend(extra.iter().map(OsString::from));
        Launch {
            program: "pacs-gateway",
            arguments,
            folder: binaries::repository().to_owned(),
            log: workplace.path("pacs-gateway.log"),
            admin,
        }
    }

    /// Its metrics now.
    ///
    /// # Panics
    /// The admin port does not answer with samples.
    #[must_use]
    pub fn metrics(&self) -> Vec<Sample> {
        let text = admin::get(self.service.admin(), "/metrics").expect("the admin port answers").body;
        admin::parse_metrics(&text).unwrap_or_else(|line| panic!("not a sample: {line}"))
    }

    /// Sum of the samples of this name whose labels contain `label`.
    #[must_use]
    pub fn measure(&self, name: &str, label: &str) -> f64 {
        let fits = |sample: &&Sample| sample.name == name && sample.series.contains(label);
        self.metrics().iter().filter(fits).map(|sample| sample.value).sum()
    }
}
