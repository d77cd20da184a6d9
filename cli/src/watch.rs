//! `latentwire watch`: arrivals at a receiver-svc, transfers of a sender-svc, one line each as they happen.

use std::time::Duration;

use latentwire_proto::v1::{
    WatchImagesRequest, WatchTransfersRequest, image_service_client::ImageServiceClient,
    send_service_client::SendServiceClient,
};
use serde_json::Value;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use crate::{
    args::{WatchArgs, What},
    connect::connect,
    failure::{Exit, Failure},
    image::{IMAGE_COLUMNS, TRANSFER_COLUMNS, image_json, image_row, transfer_json, transfer_row},
    list::refuse_filter,
    table::{Cell, Column, Layout, Table},
    terminal::Terminal,
};

/// First pause before the service is called again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What happened to one image.
struct Event {
    id: Vec<u8>,
    json: Value,
    row: Vec<Cell>,
}

type Events = std::pin::Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

/// Shows what happens from now on until the service goes away, `--count` is reached, or a signal comes.
///
/// # Errors
/// A filter is for the other kind, or the service cannot be reached, refuses, or went away; with `--reconnect` only
/// a refusal ends it.
pub async fn watch(args: WatchArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    match args.what {
        What::Images => refuse_filter("--destination", &args.destination, "transfers")?,
        What::Transfers => refuse_filter("--peer", &args.peer, "images")?,
    }
    let columns: &[Column] = match args.what {
        What::Images => &IMAGE_COLUMNS,
        What::Transfers => &TRANSFER_COLUMNS,
    };
    let layout = Table::new(columns).layout(terminal.width());
    let mut lines = Lines { columns, layout, json: args.json, left: args.count, head_due: true };
    let mut pause = PAUSES.0;
    loop {
        let failure = match open(&args, terminal).await {
            Ok(mut events) => {
                pause = PAUSES.0;
                match follow(&mut events, &mut lines, terminal).await {
                    Ok(()) => return Ok(Exit::Done),
                    Err(failure) => failure,
                }
            }
            Err(failure) => failure,
        };
        if !is_away(&failure) {
            return Err(failure);
        }
        if !args.reconnect {
            return Err(Failure { exit: Exit::Unreachable, ..failure });
        }
        terminal.note(&format!("{failure}; trying again in {} s", pause.as_secs()));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Subscribes; what happens from the return on is reported.
async fn open(args: &WatchArgs, terminal: &Terminal<'_>) -> Result<Events, Failure> {
    let (what, url, events): (_, _, Events) = match args.what {
        What::Images => {
            let mut client =
                ImageServiceClient::new(connect("receiver-svc", &args.receiver, &args.credentials).await?);
            let request = WatchImagesRequest { peer: args.peer.clone() };
            let stream = client.watch_images(request).await?.into_inner();
            let events = stream.filter_map(|response| {
                response.map(|response| response.image.as_ref().map(Event::of_image)).transpose()
            });
            ("images", &args.receiver, Box::pin(events))
        }
        What::Transfers => {
            let mut client =
                SendServiceClient::new(connect("sender-svc", &args.sender, &args.credentials).await?);
            let request = WatchTransfersRequest { destination: args.destination.clone() };
            let stream = client.watch_transfers(request).await?.into_inner();
            let events = stream.filter_map(|response| {
                response.map(|response| response.transfer.as_ref().map(Event::of_transfer)).transpose()
            });
            ("transfers", &args.sender, Box::pin(events))
        }
    };
    terminal.note(&format!("watching {what} at {url}; Ctrl-C ends it"));
    Ok(events)
}

impl Event {
    fn of_image(image: &latentwire_proto::v1::Image) -> Self {
        Self { id: image.image_id.to_vec(), json: image_json(image), row: image_row(image) }
    }

    fn of_transfer(transfer: &latentwire_proto::v1::Transfer) -> Self {
        let (json, row) = (transfer_json(transfer), transfer_row(transfer));
        Self { id: transfer.transfer_id.to_vec(), json, row }
    }
}

async fn follow(
    events: &mut Events,
    lines: &mut Lines<'_>,
    terminal: &mut Terminal<'_>,
) -> Result<(), Failure> {
    while let Some(event) = events.next().await {
        if lines.show(&event?, terminal)? {
            return Ok(());
        }
    }
    let message = "the service ended the watch: it is stopping";
    Err(Failure::new("UNAVAILABLE", "SHUTTING_DOWN", message, Exit::Unreachable))
}

/// Whether the service may come back, so that waiting helps.
fn is_away(failure: &Failure) -> bool {
    failure.exit == Exit::Unreachable || failure.code == "UNAVAILABLE"
}

/// The lines that are shown.
struct Lines<'c> {
    columns: &'c [Column],
    layout: Layout,
    json: bool,
    left: Option<u64>,
    head_due: bool,
}

impl Lines<'_> {
    /// Shows one event; true if it was the last one asked for.
    fn show(&mut self, event: &Event, terminal: &mut Terminal<'_>) -> Result<bool, Failure> {
        if self.json {
            terminal.print(&format!("{}\n", event.json))?;
        } else if terminal.quiet() {
            terminal.print(&format!("{}\n", hex::encode(&event.id)))?;
        } else {
            if std::mem::take(&mut self.head_due) {
                terminal.print(&self.layout.header(self.columns))?;
            }
            terminal.print(&self.layout.line(self.columns, &event.row))?;
        }
        self.left = self.left.map(|left| left - 1);
        Ok(self.left == Some(0))
    }
}
