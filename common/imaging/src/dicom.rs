//! DICOM objects (PS3.3, PS3.5, PS3.10): native, deflated, RLE, JPEG, JPEG-LS and JPEG 2000 pixels, any number of frames.
//!
//! **Values are stored values**: no rescale, window, palette or inversion is applied. Colour ends as RGB: YBR_FULL and
//! YBR_FULL_422 are converted, and JPEG and JPEG 2000 undo their own transforms. Palette indices, values with overlay bits
//! beside them, segmentations and values beyond Bits Stored are read as exact-only.

mod data_set;
mod file;
mod frames;
mod header;
mod identity;
mod jpeg2000;
mod jpeg_ls;
mod pixels;
mod rebuild;
mod rle;
mod uid;

use dicom_dictionary_std::tags;

pub(crate) use identity::identity;
pub(crate) use rebuild::rebuild;
pub(crate) use uid::derived_sop_instance_uid;

use crate::{Format, ImagingError, Limits, Picture, container};
use data_set::DataSet;
use file::DicomFile;
use header::ImageHeader;

/// Reads a DICOM file.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Picture, ImagingError> {
    let file = DicomFile::open(bytes, limits)?;
    let mut data_set = DataSet::parse(&file.data_set, file.encoding)?;
    let Some(pixel_data) = data_set.take(tags::PIXEL_DATA) else {
        let floating = [tags::FLOAT_PIXEL_DATA, tags::DOUBLE_FLOAT_PIXEL_DATA];
        return Err(if floating.into_iter().any(|tag| data_set.get(tag).is_some()) {
            ImagingError::Unsupported { what: "floating-point DICOM pixel data" }
        } else {
            ImagingError::NoPixelData
        });
    };
    let header = ImageHeader::read(&data_set, limits)?;
    let (pixels, exact_only) = pixels::decode(&data_set, &pixel_data.value, &header, file.coding)?;
    let mut payload = Vec::new();
    data_set.write(&mut payload);
    let container = container::pack(&pixels, &payload)?;
    let hint = header::content_hint(&data_set);
    Ok(Picture { format: Format::Dicom, pixels, container, exact_only, hint })
}

fn truncated(what: &'static str) -> ImagingError {
    ImagingError::Truncated { format: Format::Dicom, what }
}

fn malformed(what: &'static str) -> ImagingError {
    ImagingError::Malformed { format: Format::Dicom, what }
}
