//! The receiver's half: coded image to file.

use std::time::Instant;

use latentwire_imaging::{ImagingError, LossyStep};

use crate::bitstream::{CodedImage, LatentImage};
use crate::codec::Codec;
use crate::decode::{decode_pixels, model_of};
use crate::error::CodecError;
use crate::policy::Mode;
use crate::report::{Mark, RestoreTimings, Restored};

/// See [`Codec::restore`].
pub(crate) fn restore(codec: &Codec, coded: &[u8]) -> Result<Restored, CodecError> {
    let start = Instant::now();
    let mut restored = match CodedImage::parse(coded)? {
        CodedImage::Latent(image) => restore_latent(codec, &image, coded.len())?,
        CodedImage::Exact { format, file } => {
            if file.len() as u64 > codec.limits.max_file_bytes {
                return Err(CodecError::TooLarge { what: "the file" });
            }
            Restored {
                file: file.to_vec(),
                format: Some(format),
                mode: Mode::Exact,
                model: None,
                mark: None,
                pixels: None,
                reconstruction_sha256: None,
                timings: RestoreTimings::default(),
            }
        }
    };
    restored.timings.decode_ms = start.elapsed().as_secs_f64() * 1e3;
    Ok(restored)
}

fn restore_latent(
    codec: &Codec,
    image: &LatentImage<'_>,
    coded_length: usize,
) -> Result<Restored, CodecError> {
    let header = &image.header;
    let model = model_of(&codec.models, header, &codec.limits)?;
    let pixels = decode_pixels(model, image)?;
    let mark = Mark::of(model.info.purpose);
    let lossy = LossyStep {
        model: &model.info.id,
        decoder_digest: header.decoder_digest.0,
        ratio: header.raw_bytes() as f64 / coded_length as f64,
        mark: mark.map(Mark::name),
        sop_instance_uid: header.sop_instance_uid.as_deref(),
    };
    let rebuilt = latentwire_imaging::rebuild(header.format, image.container, &pixels, &lossy);
    if matches!(rebuilt, Err(ImagingError::ShapeMismatch)) {
        // The pixels are our own: what does not fit them is the container that came with them.
        return Err(CodecError::Bitstream { what: "its container is for other pixels" });
    }
    let (format, file) = rebuilt?;
    Ok(Restored {
        file,
        format: Some(format),
        mode: Mode::Latent,
        model: Some(model.info.id.clone()),
        mark,
        reconstruction_sha256: Some(pixels.sha256()),
        pixels: Some(pixels),
        timings: RestoreTimings::default(),
    })
}
