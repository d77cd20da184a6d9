//! `latentwire list`: images that a receiver-svc holds, transfers that a sender-svc remembers.

use latentwire_proto::v1::{
    ListImagesRequest, ListTransfersRequest, image_service_client::ImageServiceClient,
    send_service_client::SendServiceClient,
};
use serde_json::Value;

use crate::{
    args::{ListArgs, What},
    connect::connect,
    failure::{Exit, Failure},
    image::{IMAGE_COLUMNS, TRANSFER_COLUMNS, image_json, image_row, transfer_json, transfer_row},
    table::{Cell, Table},
    terminal::Terminal,
};

/// Images or transfers on one page of the list.
const PAGE_SIZE: u32 = 500;

/// Lists what the service has, newest first.
///
/// # Errors
/// A filter is for the other list, or the service cannot be reached, or refuses.
pub async fn list(args: ListArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    match args.what {
        What::Images => images(&args, terminal).await,
        What::Transfers => transfers(&args, terminal).await,
    }
}

async fn images(args: &ListArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    refuse_filter("--destination", &args.destination, "transfers")?;
    let mut client =
        ImageServiceClient::new(connect("receiver-svc", &args.receiver, &args.credentials).await?);
    let mut listing = Listing { table: Table::new(&IMAGE_COLUMNS), json: args.json };
    let mut page_token = String::new();
    loop {
        let request = ListImagesRequest {
            page_size: PAGE_SIZE,
            page_token,
            peer: args.peer.clone(),
            study_group: args.study_group.clone(),
        };
        let page = client.list_images(request).await?.into_inner();
        for image in &page.images {
            listing.add(terminal, &image.image_id, || image_json(image), || image_row(image))?;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return listing.finish(terminal);
        }
    }
}

async fn transfers(args: &ListArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    refuse_filter("--peer", &args.peer, "images")?;
    let mut client = SendServiceClient::new(connect("sender-svc", &args.sender, &args.credentials).await?);
    let mut listing = Listing { table: Table::new(&TRANSFER_COLUMNS), json: args.json };
    let wanted = |filter: &str, value: &str| filter.is_empty() || filter == value;
    let mut page_token = String::new();
    loop {
        let request =
            ListTransfersRequest { page_size: PAGE_SIZE, page_token, ..ListTransfersRequest::default() };
        let page = client.list_transfers(request).await?.into_inner();
        for transfer in &page.transfers {
            if wanted(&args.destination, &transfer.destination)
                && wanted(&args.study_group, &transfer.study_group)
            {
                let json = || transfer_json(transfer);
                listing.add(terminal, &transfer.transfer_id, json, || transfer_row(transfer))?;
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return listing.finish(terminal);
        }
    }
}

/// A filter that the other list has is no filter here, and leaving it out silently would show too much.
pub fn refuse_filter(flag: &str, value: &str, what: &str) -> Result<(), Failure> {
    if value.is_empty() { Ok(()) } else { Err(Failure::usage(format!("{flag} is for {what}"))) }
}

/// The lines of one list.
struct Listing {
    table: Table,
    json: bool,
}

impl Listing {
    fn add(
        &mut self,
        terminal: &mut Terminal<'_>,
        id: &[u8],
        json: impl FnOnce() -> Value,
        row: impl FnOnce() -> Vec<Cell>,
    ) -> Result<(), Failure> {
        if self.json {
            return terminal.print(&format!("{}\n", json()));
        }
        if terminal.quiet() {
            return terminal.print(&format!("{}\n", hex::encode(id)));
        }
        self.table.push(row());
        Ok(())
    }

    fn finish(self, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
        if !self.json && !terminal.quiet() {
            let text = self.table.render(terminal.width());
            terminal.print(&text)?;
        }
        Ok(Exit::Done)
    }
}
