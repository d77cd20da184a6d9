//! `grpc.health.v1` per service, and the same truth for `/readyz`.

use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};

/// Whether a process serves; one truth behind `grpc.health.v1` and `/readyz`.
///
/// Everything starts NOT_SERVING, the overall service `""` too (tonic-health says SERVING there by itself).
#[derive(Clone)]
pub struct Readiness {
    reporter: HealthReporter,
    services: &'static [&'static str],
    ready: watch::Sender<bool>,
}

impl Readiness {
    /// Makes the state, NOT_SERVING, and the gRPC service that reports it; `services` are full names such as
    /// `latentwire.v1.SendService`.
    pub async fn new(services: &'static [&'static str]) -> (Self, HealthServer<impl Health>) {
        let (reporter, server) = health_reporter();
        let readiness = Self { reporter, services, ready: watch::Sender::new(false) };
        readiness.not_ready().await;
        (readiness, server)
    }

    /// Says SERVING for every service.
    pub async fn ready(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// Says NOT_SERVING for every service.
    pub async fn not_ready(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    /// Whether the process serves.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    async fn set(&self, status: ServingStatus) {
        self.ready.send_replace(matches!(status, ServingStatus::Serving));
        self.reporter.set_service_status("", status).await;
        for service in self.services {
            self.reporter.set_service_status(*service, status).await;
        }
    }
}
