//! The generated gRPC clients, for what the command line does not show.

use std::{future::Future, net::SocketAddr};

use latentwire_proto::v1::{
    Image, ListImagesRequest, image_service_client::ImageServiceClient,
    send_service_client::SendServiceClient,
};
use tonic::transport::{Channel, Endpoint};

/// Runs a future to its end.
///
/// # Panics
/// The operating system has no thread left.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime can be made").block_on(future)
}

/// A channel to a service.
///
/// # Panics
/// Nobody listens there.
pub async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a URL");
    endpoint.connect().await.expect("the service listens")
}

/// A client of SendService.
///
/// # Panics
/// Nobody listens there.
pub async fn send_service(address: SocketAddr) -> SendServiceClient<Channel> {
    SendServiceClient::new(channel(address).await)
}

/// All images that a receiver lists, newest first.
///
/// # Panics
/// It cannot be reached, or refuses.
#[must_use]
pub fn list_images(images: SocketAddr) -> Vec<Image> {
    block_on(async {
        let mut client = ImageServiceClient::new(channel(images).await);
        let request = ListImagesRequest { page_size: 1000, ..ListImagesRequest::default() };
        client.list_images(request).await.expect("images are listed").into_inner().images
    })
}
