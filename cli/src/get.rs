//! `latentwire get`: one image out of a running receiver-svc.

use std::{
    io::{IsTerminal, stdout},
    path::{Path, PathBuf},
    time::Duration,
};

use latentwire_proto::v1::{
    GetImageHeader, GetImageRequest, GetImageResponse, get_image_request::Key, get_image_response::Part,
    image_service_client::ImageServiceClient,
};
use latentwire_service::dial::Connection;
use serde_json::json;
use sha2::{Digest, Sha256};
use tonic::{Code, Request, Status, Streaming};

use crate::{
    args::{GetArgs, TransferId, is_standard_stream},
    connect::connect,
    failure::{Exit, Failure},
    file_digest::FileDigest,
    image::image_json,
    paths::display,
    terminal::Terminal,
    whole_file::WholeFile,
};

/// Fetches one image to a file, which appears whole and checked, or not at all.
///
/// # Errors
/// The receiver does not know the id, what arrives is not what its header promises, the file cannot be written, or one of
/// its name holds something else.
pub async fn get(args: GetArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let to_standard_output = is_standard_stream(&args.output);
    if to_standard_output && args.json {
        return Err(Failure::usage("-o - and --json both want standard output: take one of them"));
    }
    if to_standard_output && stdout().is_terminal() {
        return Err(Failure::usage("an image is no text for a terminal: name a file, or pipe it"));
    }
    let channel = connect("receiver-svc", &args.receiver, &args.credentials).await?;
    let timeout = Duration::from_secs(args.timeout);
    let mut client = ImageServiceClient::new(channel);
    let mut responses = open(&mut client, args.id, timeout).await?;
    let header = match responses.message().await?.and_then(|response| response.part) {
        Some(Part::Header(header)) => header,
        Some(Part::Chunk(_)) | None => {
            return Err(Failure::protocol("the receiver sent no header before the image"));
        }
    };
    if to_standard_output {
        // Held back until the last byte is checked: a reader of the pipe must not see what is damaged.
        let mut file = Vec::new();
        download(&mut responses, &header, |chunk| {
            file.extend_from_slice(chunk);
            Ok(())
        })
        .await?;
        terminal.write(&file)?;
        return Ok(Exit::Done);
    }
    let target = target(&args.output, args.id, &header.format);
    if !ending_fits(&target, &header.format) {
        terminal.note(&format!("the image is a {} file; {} says otherwise", header.format, target.display()));
    }
    if !args.overwrite && target.symlink_metadata().is_ok() {
        if !holds(&target, &header.file_sha256) {
            return Err(taken(&target));
        }
        terminal.note(&format!("{} holds this image already", target.display()));
    } else {
        let mut file = WholeFile::create(&target)?;
        download(&mut responses, &header, |chunk| file.write(chunk)).await?;
        if args.overwrite {
            file.keep()?;
        } else {
            let came_meanwhile = |failure: &Failure| failure.code == "ALREADY_EXISTS";
            file.keep_new()
                .map_err(|failure| if came_meanwhile(&failure) { taken(&target) } else { failure })?;
        }
    }
    if args.json {
        let object = json!({
            "path": display(&target),
            "format": header.format,
            "file_bytes": header.file_bytes,
            "file_sha256": hex::encode(&header.file_sha256),
            "decode_ms": header.decode_ms,
            "image": header.image.as_ref().map(image_json),
        });
        terminal.print(&format!("{object}\n"))?;
    } else if !terminal.quiet() {
        terminal.print(&format!("{}\n", target.display()))?;
    }
    Ok(Exit::Done)
}

/// Asks for a transfer of that id, and where there is none for an image of that id.
async fn open(
    client: &mut ImageServiceClient<Connection>,
    id: TransferId,
    timeout: Duration,
) -> Result<Streaming<GetImageResponse>, Status> {
    let request = |key| {
        let mut request = Request::new(GetImageRequest { key: Some(key) });
        request.set_timeout(timeout);
        request
    };
    match client.get_image(request(Key::TransferId(id.0.to_vec().into()))).await {
        Err(status) if status.code() == Code::NotFound => {
            Ok(client.get_image(request(Key::ImageId(id.0.to_vec().into()))).await?.into_inner())
        }
        other => Ok(other?.into_inner()),
    }
}

/// Gives the chunks to `keep` as they come, and checks length and digest at the end.
async fn download(
    responses: &mut Streaming<GetImageResponse>,
    header: &GetImageHeader,
    mut keep: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut digest = Sha256::new();
    let mut received = 0_u64;
    while let Some(response) = responses.message().await? {
        let Some(Part::Chunk(chunk)) = response.part else {
            return Err(Failure::protocol("the receiver sent a second header"));
        };
        received += chunk.len() as u64;
        if received > header.file_bytes {
            return Err(damaged("the receiver sent more than it announced"));
        }
        digest.update(&chunk);
        keep(&chunk)?;
    }
    if received < header.file_bytes {
        return Err(damaged("the image ended before its last byte"));
    }
    if digest.finalize()[..] != header.file_sha256[..] {
        return Err(damaged("the image does not have the announced SHA-256"));
    }
    Ok(())
}

fn damaged(message: &str) -> Failure {
    Failure::rejected("DATA_LOSS", "STREAM_TRUNCATED", &format!("{message}; nothing was written, try again"))
}

/// Whether a file has this SHA-256.
fn holds(file: &Path, sha256: &[u8]) -> bool {
    FileDigest::of(file).is_ok_and(|digest| digest.is(sha256))
}

fn taken(target: &Path) -> Failure {
    let message = format!(
        "{} exists and holds something else: name another file, or pass --overwrite",
        target.display()
    );
    Failure::new("ALREADY_EXISTS", "LOCAL_FILE", message, Exit::Local)
}

/// Where the image goes: the file named, or a file in the folder named.
fn target(output: &Path, id: TransferId, format: &str) -> PathBuf {
    if output.is_dir() {
        output.join(format!("{}.{}", hex::encode(id.0), ending(format)))
    } else {
        output.to_owned()
    }
}

/// The usual ending of a format's files.
fn ending(format: &str) -> &'static str {
    match format {
        "png" => "png",
        "jpeg" => "jpg",
        "tiff" => "tif",
        "dicom" => "dcm",
        _ => "bin",
    }
}

/// Whether a file name's ending does not speak against the format.
fn ending_fits(target: &Path, format: &str) -> bool {
    let Some(found) = target.extension().and_then(|found| found.to_str()) else { return true };
    let found = found.to_ascii_lowercase();
    match found.as_str() {
        "png" => format == "png",
        "jpg" | "jpeg" => format == "jpeg",
        "tif" | "tiff" => format == "tiff",
        "dcm" | "dicom" => format == "dicom",
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_names_the_file_after_id_and_format() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let id = TransferId([0xab; 16]);
        assert_eq!(
            target(folder.path(), id, "dicom"),
            folder.path().join(format!("{}.dcm", "ab".repeat(16)))
        );
        assert_eq!(target(Path::new("x.png"), id, "dicom"), Path::new("x.png"));
    }

    #[test]
    fn a_wrong_ending_is_noticed_and_an_unknown_one_is_left_alone() {
        assert!(ending_fits(Path::new("a.JPG"), "jpeg"));
        assert!(!ending_fits(Path::new("a.jpg"), "png"));
        assert!(ending_fits(Path::new("a.part"), "png"));
        assert!(ending_fits(Path::new("a"), "dicom"));
    }
}
