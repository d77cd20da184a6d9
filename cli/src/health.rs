//! `latentwire health`: asks a service whether it serves, by `grpc.health.v1`; what a container's health check runs.

use std::time::Duration;

use tonic::{Code, Request};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    args::HealthArgs,
    connect::connect,
    failure::{Exit, Failure},
    terminal::Terminal,
};

/// Asks once; the whole question, the connection too, is bounded by `--timeout`.
///
/// # Errors
/// Nobody answers there (`SERVICE_UNREACHABLE`), or the service is there and does not serve (`NOT_SERVING`).
pub async fn health(args: HealthArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let limit = Duration::from_secs(args.timeout);
    let status = tokio::time::timeout(limit, ask(&args)).await.map_err(|_elapsed| {
        let message = format!("{} did not answer within {} s", args.url, args.timeout);
        Failure::new("DEADLINE_EXCEEDED", "SERVICE_UNREACHABLE", message, Exit::Unreachable)
    })??;
    if status != ServingStatus::Serving {
        let message = format!("{} answers {}: see its log", args.url, status.as_str_name());
        return Err(Failure::new("UNAVAILABLE", "NOT_SERVING", message, Exit::Rejected));
    }
    if args.json {
        let object =
            serde_json::json!({"url": args.url, "service": args.service, "status": status.as_str_name()});
        terminal.print(&format!("{object}\n"))?;
    } else if !terminal.quiet() {
        terminal.print(&format!("{}\n", status.as_str_name()))?;
    }
    Ok(Exit::Done)
}

async fn ask(args: &HealthArgs) -> Result<ServingStatus, Failure> {
    let mut client = HealthClient::new(connect("the service", &args.url, &args.credentials).await?);
    let request = Request::new(HealthCheckRequest { service: args.service.clone() });
    match client.check(request).await {
        Ok(answer) => Ok(answer.into_inner().status()),
        Err(status) if status.code() == Code::NotFound => {
            let message = format!("{} has no service {:?}", args.url, args.service);
            Err(Failure::rejected("NOT_FOUND", "SERVICE_UNKNOWN", &message))
        }
        Err(status) => Err(status.into()),
    }
}
