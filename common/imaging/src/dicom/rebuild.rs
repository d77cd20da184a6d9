//! A DICOM object with new pixels: uncompressed, and marked as lossy the way DCMTK's `dcmcjpls +en` marks its own
//! (PS3.3 C.7.6.1.1.5, C.12.4).

use std::borrow::Cow;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::{
    data_set::{DataSet, Encoding, Value},
    file, malformed,
    uid::derive_uid,
};
use crate::{ImagingError, LossyStep, PixelTensor, planes};

/// Our value of Lossy Image Compression Method (0028,2114). No term is defined for a learned codec; CS, at most 16
/// characters.
const COMPRESSION_METHOD: &str = "LATENTWIRE";

/// Writes the object with `pixels`, whose shape is the one that was read.
pub(crate) fn rebuild(
    payload: &[u8],
    pixels: &PixelTensor,
    lossy: &LossyStep<'_>,
) -> Result<Vec<u8>, ImagingError> {
    let mut data_set = DataSet::parse(payload, Encoding::ExplicitLittle)
        .map_err(|_| ImagingError::BadContainer { what: "its data set cannot be read" })?;
    drop_what_no_longer_holds(&mut data_set);
    let sop_class =
        data_set.text(tags::SOP_CLASS_UID).ok_or(malformed("SOP Class UID (0008,0016) is missing"))?;
    let sop_class = sop_class.to_owned();
    let source_instance = data_set.text(tags::SOP_INSTANCE_UID).unwrap_or_default().to_owned();
    let new_instance = match lossy.sop_instance_uid {
        Some(uid) if is_uid(uid) => uid.to_owned(),
        Some(_) => return Err(ImagingError::BadContainer { what: "the new SOP Instance UID is not a UID" }),
        None => derive_uid(&source_instance, &lossy.decoder_digest, &pixels.sha256()),
    };
    refer_to_source(&mut data_set, &sop_class, &source_instance);
    data_set.put_text(tags::SOP_INSTANCE_UID, VR::UI, &new_instance);
    describe_derivation(&mut data_set, lossy);
    describe_pixels(&mut data_set, pixels)?;
    Ok(file::write(&sop_class, &new_instance, &data_set))
}

/// Signatures, padding, offset tables and figures of the old pixels.
fn drop_what_no_longer_holds(data_set: &mut DataSet<'_>) {
    data_set.retain(|element| {
        !matches!(
            element.tag,
            tags::MAC_PARAMETERS_SEQUENCE
                | tags::DIGITAL_SIGNATURES_SEQUENCE
                | tags::DATA_SET_TRAILING_PADDING
                | tags::EXTENDED_OFFSET_TABLE
                | tags::EXTENDED_OFFSET_TABLE_LENGTHS
                | tags::PIXEL_DATA
                | Tag(0x7fe0, 0x0003) // Encapsulated Pixel Data Value Total Length
                | tags::SMALLEST_PIXEL_VALUE_IN_SERIES
                | tags::LARGEST_PIXEL_VALUE_IN_SERIES
        )
    });
}

/// Source Image Sequence: one more item, with the purpose DCMTK gives it.
fn refer_to_source<'a>(data_set: &mut DataSet<'a>, sop_class: &str, source_instance: &str) {
    let mut item = DataSet::default();
    item.put_text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, sop_class);
    item.put_text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, source_instance);
    let purpose = code("121320", "DCM", "Uncompressed predecessor");
    item.put(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, VR::SQ, Value::Items(vec![purpose]));
    append_item(data_set, tags::SOURCE_IMAGE_SEQUENCE, item);
}

fn describe_derivation(data_set: &mut DataSet<'_>, lossy: &LossyStep<'_>) {
    let old_type = data_set.text(tags::IMAGE_TYPE);
    let image_type = match old_type.and_then(|old_type| old_type.split_once('\\')) {
        Some((_, rest)) => format!("DERIVED\\{rest}"),
        None => "DERIVED\\SECONDARY".to_owned(),
    };
    data_set.put_text(tags::IMAGE_TYPE, VR::CS, &image_type);

    let digest: String = lossy.decoder_digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let model: String = lossy.model.chars().filter(|c| c.is_ascii_graphic() && *c != '\\').take(64).collect();
    let mark = lossy.mark.map_or_else(String::new, |mark| format!("marked {mark}, "));
    let mut description = format!(
        "Latentwire learned lossy compression, {mark}model {model}, decoder SHA-256 {digest}, ratio {}",
        decimal_string(lossy.ratio)
    )
    .into_bytes();
    // What was said before stays, in its own bytes, as far as ST has room for it (1024 characters).
    if let Some(old) = data_set.bytes(tags::DERIVATION_DESCRIPTION) {
        let old = old.trim_ascii();
        if !old.is_empty() && description.len() + old.len() + 3 <= 1024 {
            description.extend_from_slice(b" [");
            description.extend_from_slice(old);
            description.push(b']');
        }
    }
    data_set.put(tags::DERIVATION_DESCRIPTION, VR::ST, Value::Bytes(Cow::Owned(description)));
    append_item(data_set, tags::DERIVATION_CODE_SEQUENCE, code("113040", "DCM", "Lossy Compression"));

    data_set.put_text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01");
    let ratios =
        append_value(data_set.text(tags::LOSSY_IMAGE_COMPRESSION_RATIO), &decimal_string(lossy.ratio), 0);
    let steps = ratios.split('\\').count();
    data_set.put_text(tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, &ratios);
    // One method a ratio: a step whose method was left out gets an empty value, so that ours stays in its place.
    let methods =
        append_value(data_set.text(tags::LOSSY_IMAGE_COMPRESSION_METHOD), COMPRESSION_METHOD, steps - 1);
    data_set.put_text(tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, &methods);
}

fn describe_pixels(data_set: &mut DataSet<'_>, pixels: &PixelTensor) -> Result<(), ImagingError> {
    let side = |side: u32| {
        u16::try_from(side).map_err(|_| ImagingError::Unsupported { what: "a DICOM side over 65535" })
    };
    data_set.put_u16(tags::ROWS, side(pixels.height)?);
    data_set.put_u16(tags::COLUMNS, side(pixels.width)?);
    data_set.put_u16(tags::SAMPLES_PER_PIXEL, pixels.channels.into());
    if pixels.channels == 3 {
        data_set.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB");
        data_set.put_u16(tags::PLANAR_CONFIGURATION, 0);
    } else {
        data_set.take(tags::PLANAR_CONFIGURATION);
    }
    let allocated = match data_set.u16(tags::BITS_ALLOCATED) {
        Some(16) => 16,
        _ => 8 * u16::from(pixels.bits.div_ceil(8)),
    };
    data_set.put_u16(tags::BITS_ALLOCATED, allocated);
    data_set.put_u16(tags::BITS_STORED, pixels.bits.into());
    data_set.put_u16(tags::HIGH_BIT, u16::from(pixels.bits) - 1);
    data_set.put_u16(tags::PIXEL_REPRESENTATION, pixels.signed.into());

    let (smallest, largest) = pixels.value_range();
    for (tag, value) in
        [(tags::SMALLEST_IMAGE_PIXEL_VALUE, smallest), (tags::LARGEST_IMAGE_PIXEL_VALUE, largest)]
    {
        if data_set.take(tag).is_some() {
            let vr = if pixels.signed { VR::SS } else { VR::US };
            data_set.put(tag, vr, Value::Bytes(Cow::Owned((value as u16).to_le_bytes().to_vec())));
        }
    }

    let channels = usize::from(pixels.channels);
    let mut bytes = Vec::with_capacity(pixels.samples.len() * usize::from(allocated / 8) + 1);
    for frame in 0..pixels.frames {
        let samples = planes::interleave(pixels.frame(frame), channels);
        if allocated == 16 {
            bytes.extend(samples.flat_map(|sample| (sample as u16).to_le_bytes()));
        } else {
            bytes.extend(samples.map(|sample| sample as u8));
        }
    }
    if bytes.len() as u64 > u64::from(u32::MAX - 1) {
        return Err(ImagingError::Unsupported { what: "a DICOM object of 4 GiB or more" });
    }
    let vr = if allocated == 16 { VR::OW } else { VR::OB };
    data_set.put(tags::PIXEL_DATA, vr, Value::Bytes(Cow::Owned(bytes)));
    Ok(())
}

fn code(value: &str, scheme: &str, meaning: &str) -> DataSet<'static> {
    let mut item = DataSet::default();
    item.put_text(tags::CODE_VALUE, VR::SH, value);
    item.put_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, scheme);
    item.put_text(tags::CODE_MEANING, VR::LO, meaning);
    item
}

fn append_item<'a>(data_set: &mut DataSet<'a>, tag: Tag, item: DataSet<'a>) {
    let mut items = match data_set.take(tag).map(|element| element.value) {
        Some(Value::Items(items)) => items,
        _ => Vec::new(),
    };
    items.push(item);
    data_set.put(tag, VR::SQ, Value::Items(items));
}

/// One more value of a multi-valued text, after at least `before` values.
fn append_value(old: Option<&str>, value: &str, before: usize) -> String {
    let mut values: Vec<&str> = old.map_or(Vec::new(), |old| old.split('\\').collect());
    if values.len() < before {
        values.resize(before, "");
    }
    values.push(value);
    values.join("\\")
}

/// A DS value: at most 16 characters.
fn decimal_string(number: f64) -> String {
    if number.is_finite() && (0.0..1e9).contains(&number) { format!("{number:.4}") } else { "0".to_owned() }
}

/// PS3.5 section 9.1.
fn is_uid(text: &str) -> bool {
    text.len() <= 64
        && text.split('.').all(|part| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && (part.len() == 1 || !part.starts_with('0'))
        })
}
