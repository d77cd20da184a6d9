//! The gate before every route, the health service and the admin port, over real connections.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use latentwire_proto::FILE_DESCRIPTOR_SET;
use latentwire_proto::v1::image_service_client::ImageServiceClient;
use latentwire_proto::v1::image_service_server::{ImageService, ImageServiceServer};
use latentwire_proto::v1::{
    DeleteImageRequest, DeleteImageResponse, GetImageRequest, GetImageResponse, ListImagesRequest,
    ListImagesResponse, WatchImagesRequest, WatchImagesResponse,
};
use latentwire_service::admin::AdminServer;
use latentwire_service::args::LimitArgs;
use latentwire_service::grpc::{GrpcServer, add_reflection, endpoint};
use latentwire_service::health::Readiness;
use latentwire_service::status::{reason, reason_of};
use latentwire_service::tls::Listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

/// Sleeps, panics or streams for ever, as the request says.
struct Awkward;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ImageService for Awkward {
    type GetImageStream = Answers<GetImageResponse>;
    type WatchImagesStream = Answers<WatchImagesResponse>;

    async fn list_images(
        &self,
        request: Request<ListImagesRequest>,
    ) -> Result<Response<ListImagesResponse>, Status> {
        match request.into_inner().peer.as_str() {
            "sleep" => tokio::time::sleep(Duration::from_secs(3600)).await,
            "panic" => panic!("as asked"),
            _ => {}
        }
        Ok(Response::new(ListImagesResponse::default()))
    }

    async fn get_image(
        &self,
        _request: Request<GetImageRequest>,
    ) -> Result<Response<Self::GetImageStream>, Status> {
        let first = tokio_stream::once(Ok(GetImageResponse { part: None }));
        let then = tokio_stream::pending::<Result<GetImageResponse, Status>>();
        Ok(Response::new(Box::pin(first.chain(then))))
    }

    async fn watch_images(
        &self,
        _request: Request<WatchImagesRequest>,
    ) -> Result<Response<Self::WatchImagesStream>, Status> {
        let answers = tokio_stream::iter([1, 2]).map(|number| {
            assert!(number == 1, "the second message panics, as asked");
            Ok(WatchImagesResponse::default())
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn delete_image(
        &self,
        _request: Request<DeleteImageRequest>,
    ) -> Result<Response<DeleteImageResponse>, Status> {
        Ok(Response::new(DeleteImageResponse {}))
    }
}

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    stop: CancellationToken,
    served: JoinHandle<Result<bool, tonic::transport::Error>>,
}

impl Running {
    async fn start(limits: LimitArgs) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (readiness, health) = Readiness::new(&["latentwire.v1.ImageService"]).await;
        let mut routes = RoutesBuilder::default();
        routes.add_service(ImageServiceServer::new(Awkward));
        routes.add_service(health);
        add_reflection(&mut routes, FILE_DESCRIPTOR_SET, &["latentwire.v1.ImageService"])
            .expect("a descriptor set");
        let stop = CancellationToken::new();
        let served = tokio::spawn({
            let stop = stop.clone();
            async move {
                let listener = Listener { tcp: listener, tls: None };
                GrpcServer::new(&limits).serve(listener, None, routes.routes(), stop).await
            }
        });
        Self { address, readiness, stop, served }
    }

    async fn channel(&self) -> Channel {
        let address = self.address.to_string().parse().expect("an address");
        endpoint(&address).connect().await.expect("it listens")
    }

    async fn client(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel().await)
    }
}

fn one_at_a_time() -> LimitArgs {
    LimitArgs { max_concurrent: 1, drain_timeout: 1, ..LimitArgs::default() }
}

fn list(peer: &str) -> ListImagesRequest {
    ListImagesRequest { peer: peer.to_owned(), ..ListImagesRequest::default() }
}

#[tokio::test]
async fn beyond_the_limit_calls_are_shed_and_come_back_when_a_stream_ends() {
    let running = Running::start(one_at_a_time()).await;
    let mut client = running.client().await;
    let mut stream = client.get_image(GetImageRequest { key: None }).await.expect("the first").into_inner();
    stream.message().await.expect("no error").expect("a message");
    // Another connection: the limit is the process's, not the connection's.
    let mut other = running.client().await;
    let status = other.list_images(list("")).await.expect_err("shed");
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::ResourceExhausted, reason::OVERLOADED));
    assert!(status.get_details_retry_info().and_then(|info| info.retry_delay).is_some());
    // Long-lived calls are counted apart, and health is always answered.
    other.watch_images(WatchImagesRequest::default()).await.expect("counted apart");
    HealthClient::new(running.channel().await)
        .check(HealthCheckRequest::default())
        .await
        .expect("no permit is needed");
    drop(stream);
    for _attempt in 0..1_000 {
        if other.list_images(list("")).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the permit never came back");
}

#[tokio::test]
async fn a_call_that_takes_too_long_ends_with_deadline() {
    let limits = LimitArgs { request_timeout: 1, ..LimitArgs::default() };
    let running = Running::start(limits).await;
    let status = running.client().await.list_images(list("sleep")).await.expect_err("too long");
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::DeadlineExceeded, reason::DEADLINE));
}

#[tokio::test]
async fn a_panic_is_one_calls_own() {
    let running = Running::start(LimitArgs::default()).await;
    let mut client = running.client().await;
    let status = client.list_images(list("panic")).await.expect_err("panicked");
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Internal, reason::INTERNAL));
    let mut stream = client.watch_images(WatchImagesRequest::default()).await.expect("begins").into_inner();
    let status = loop {
        match stream.message().await {
            Ok(message) => assert!(message.is_some(), "the stream ended without the panic"),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Internal, reason::INTERNAL));
    client.list_images(list("")).await.expect("the service lives on");
}

#[tokio::test]
async fn health_follows_readiness_and_starts_not_serving() {
    let running = Running::start(LimitArgs::default()).await;
    let mut client = HealthClient::new(running.channel().await);
    for (ready, expected) in [
        (None, ServingStatus::NotServing),
        (Some(true), ServingStatus::Serving),
        (Some(false), ServingStatus::NotServing),
    ] {
        match ready {
            Some(true) => running.readiness.ready().await,
            Some(false) => running.readiness.not_ready().await,
            None => {}
        }
        for service in ["", "latentwire.v1.ImageService"] {
            let request = HealthCheckRequest { service: service.to_owned() };
            let status = client.check(request).await.expect("answered").into_inner().status();
            assert_eq!(status, expected, "{service:?}");
        }
    }
    let unknown = HealthCheckRequest { service: "latentwire.v1.Nothing".to_owned() };
    assert_eq!(client.check(unknown).await.expect_err("unknown").code(), Code::NotFound);
}

#[tokio::test]
async fn draining_ends_when_calls_end_and_at_the_timeout_at_the_latest() {
    let quiet = Running::start(one_at_a_time()).await;
    quiet.client().await.list_images(list("")).await.expect("answered");
    quiet.stop.cancel();
    assert!(quiet.served.await.expect("no panic").expect("served"), "everything finished");
    let busy = Running::start(one_at_a_time()).await;
    let mut client = busy.client().await;
    let _stream = client.get_image(GetImageRequest { key: None }).await.expect("begins");
    busy.stop.cancel();
    assert!(!busy.served.await.expect("no panic").expect("served"), "a stream was left");
}

#[tokio::test]
async fn the_admin_port_shows_metrics_and_readiness() {
    let running = Running::start(LimitArgs::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let admin =
        AdminServer::new(Listener { tcp: listener, tls: None }, running.readiness.clone()).expect("metrics");
    let address = admin.local_addr().expect("bound");
    tokio::spawn(admin.serve(running.stop.clone()));
    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503"));
    running.readiness.ready().await;
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get(address, "/secrets").await.starts_with("HTTP/1.1 404"));
    let mut client = running.client().await;
    client.delete_image(DeleteImageRequest::default()).await.expect("answered");
    let metrics = get(address, "/metrics").await;
    let handled = metrics.lines().find(|line| {
        line.starts_with("grpc_server_handled_total{")
            && line.contains(r#"grpc_method="DeleteImage""#)
            && line.contains(r#"grpc_code="OK""#)
            && line.contains(r#"grpc_service="latentwire.v1.ImageService""#)
    });
    assert!(handled.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
    assert!(
        metrics.contains("grpc_server_started_total")
            && metrics.contains("grpc_server_handling_seconds_bucket")
    );
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer
}
