//! Bad input: a clear error, quickly, without a panic and without memory for pixels that are not there.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use std::time::{Duration, Instant};

use common::{jpeg_in, lossy_step, original, png_file, sample, small_files, tiff_file, vector};
use latentwire_imaging::{Format, ImagingError, Limits, PixelTensor, read, rebuild};

fn error_of(bytes: &[u8]) -> ImagingError {
    let started = Instant::now();
    let error = read(bytes, &Limits::default()).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(20), "{error} took {:?}", started.elapsed());
    error
}

#[test]
fn empty_and_unknown_files() {
    assert_eq!(error_of(b""), ImagingError::Empty);
    for bytes in [&b"x"[..], b"GIF89a......", b"%PDF-1.7", b"RIFF....WEBP", &[0; 4096], b"\xff\xd8"] {
        assert_eq!(error_of(bytes), ImagingError::UnknownFormat);
    }
    let limits = Limits { max_file_bytes: 3, ..Limits::default() };
    assert!(matches!(read(b"four", &limits), Err(ImagingError::TooLarge { found: 4, limit: 3, .. })));
}

#[test]
fn every_cut_of_a_small_file_is_refused() {
    for (name, bytes) in small_files() {
        // The last bytes may be padding, an end marker that nothing needs, or tags of no use.
        let needed = bytes.len() - bytes.len() / 8;
        for length in 0..needed {
            let Err(error) = read(&bytes[..length], &Limits::default()) else {
                panic!("{name} cut to {length} of {} bytes was read", bytes.len());
            };
            assert!(!error.to_string().is_empty());
        }
        for length in needed..bytes.len() {
            let _ = read(&bytes[..length], &Limits::default());
        }
    }
}

#[test]
fn cut_samples_are_called_truncated() {
    for (name, format) in [
        ("other/phantom_mr_head_16bit.png", Format::Png),
        ("chest_xray/test/hannover_1890031531.jpg", Format::Jpeg),
        ("other/fundus_half.tiff", Format::Tiff),
        ("dicom/chest_cr_8bit.dcm", Format::Dicom),
        ("dicom/phantom_ct_head_16bit.dcm", Format::Dicom),
    ] {
        let bytes = sample(name);
        for tenth in 2..10 {
            let error = error_of(&bytes[..bytes.len() * tenth / 10]);
            assert!(
                matches!(error, ImagingError::Truncated { format: found, .. } if found == format),
                "{name}: {error}"
            );
        }
    }
}

/// Files whose header says `width` x `height` in place of what is there.
fn with_sides(width: u16, height: u16) -> Vec<(Format, Vec<u8>)> {
    let pixels = original(16, 16, 1, 8, 255, 0);
    let (wide, high) = (width.to_be_bytes(), height.to_be_bytes());
    let mut png = png_file(&pixels);
    png[16..24].copy_from_slice(&[0, 0, wide[0], wide[1], 0, 0, high[0], high[1]]);
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());

    let mut jpeg = jpeg_in("grey8_jpeg_baseline");
    let frame = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[high[0], high[1], wide[0], wide[1]]);

    let mut tiff = tiff_file(&pixels);
    let directory = u32::from_le_bytes([tiff[4], tiff[5], tiff[6], tiff[7]]) as usize;
    for entry in 0..usize::from(tiff[directory]) {
        let at = directory + 2 + 12 * entry;
        let side = match u16::from_le_bytes([tiff[at], tiff[at + 1]]) {
            256 => width,
            257 => height,
            _ => continue,
        };
        tiff[at + 8..at + 10].copy_from_slice(&side.to_le_bytes());
    }

    let mut files = vec![(Format::Png, png), (Format::Jpeg, jpeg), (Format::Tiff, tiff)];
    for name in ["signed16_explicit", "signed16_rle", "signed16_jpeg_ls", "signed16_jpeg_2000"] {
        let mut dicom = vector(name);
        for (tag, side) in [([0x28, 0, 0x10, 0], height), ([0x28, 0, 0x11, 0], width)] {
            let at = dicom.windows(4).position(|four| four == tag).unwrap();
            dicom[at + 8..at + 10].copy_from_slice(&side.to_le_bytes());
        }
        files.push((Format::Dicom, dicom));
    }
    files
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

#[test]
fn the_header_patches_of_this_test_do_what_they_say() {
    for (_, file) in
        with_sides(16, 16).into_iter().take(1).chain(with_sides(16, 16).into_iter().skip(2).take(1))
    {
        assert_eq!(read(&file, &Limits::default()).unwrap().pixels, original(16, 16, 1, 8, 255, 0));
    }
    let dicom = &with_sides(44, 38)[3].1;
    assert_eq!(read(dicom, &Limits::default()).unwrap().pixels.width, 44);
}

#[test]
fn sides_of_zero() {
    for (width, height) in [(0, 0), (0, 16), (16, 0)] {
        for (format, file) in with_sides(width, height) {
            let error = error_of(&file);
            assert!(
                matches!(error, ImagingError::ZeroSize { format: found } if found == format)
                    || (format == Format::Tiff && matches!(error, ImagingError::Malformed { .. })),
                "{format}: {error}"
            );
        }
    }
}

#[test]
fn headers_of_20_000_by_20_000_without_the_pixels() {
    for (format, file) in with_sides(20_000, 20_000) {
        let error = error_of(&file);
        assert!(matches!(error, ImagingError::TooLarge { found: 400_000_000, .. }), "{format}: {error}");
        // Where the limits would allow it, the length of the file does not.
        let limits = Limits { max_pixels: u64::MAX, ..Limits::default() };
        let started = Instant::now();
        let error = read(&file, &limits).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10), "{format}: {:?}", started.elapsed());
        assert!(
            matches!(error, ImagingError::Truncated { .. } | ImagingError::Malformed { .. }),
            "{format}: {error}"
        );
    }
    for (format, file) in with_sides(65_535, 65_535) {
        let error = error_of(&file);
        // TIFF fails before its size is looked at: the strips do not add up.
        let refused = matches!(error, ImagingError::TooLarge { .. })
            || (format == Format::Tiff && matches!(error, ImagingError::Malformed { .. }));
        assert!(refused, "{format}: {error}");
    }
    let limits = Limits { max_side: 40, ..Limits::default() };
    let error = read(&vector("signed16_explicit"), &limits).unwrap_err();
    assert!(matches!(error, ImagingError::TooLarge { found: 44, limit: 40, .. }), "{error}");
}

#[test]
fn lengths_that_lie() {
    let sound = vector("signed16_explicit");
    let pixel_data = sound.windows(4).rposition(|four| four == [0xe0, 0x7f, 0x10, 0]).unwrap();
    for length in [0u32, 2, 3000, 1 << 20, 0xffff_fffe, 0xffff_ffff] {
        let mut lying = sound.clone();
        lying[pixel_data + 8..pixel_data + 12].copy_from_slice(&length.to_le_bytes());
        error_of(&lying);
    }
    let mut more_frames = vector("frames8_explicit");
    let at = more_frames.windows(4).position(|four| four == [0x28, 0, 8, 0]).unwrap();
    more_frames[at + 8..at + 10].copy_from_slice(b"99");
    assert!(matches!(error_of(&more_frames), ImagingError::Truncated { .. }));
    more_frames[at + 8..at + 10].copy_from_slice(b"1A");
    assert!(matches!(error_of(&more_frames), ImagingError::Malformed { .. }));
}

/// A bare data set in Explicit VR Little Endian, opened by SOP Class UID.
fn data_set(rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    bytes.extend([2, 0, 0x10, 0]);
    bytes.extend(b"UI\x14\x001.2.840.10008.1.2.1\0");
    bytes.extend(rest);
    bytes
}

#[test]
fn deep_sequences_end_before_the_stack_does() {
    // (0008,1140) SQ of undefined length, an item of undefined length, and so on downwards.
    let level = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff";
    let error = error_of(&data_set(&level.repeat(200_000)));
    assert!(matches!(error, ImagingError::Malformed { what, .. } if what.contains("nested")), "{error}");
}

#[test]
fn a_data_set_without_pixels() {
    assert_eq!(error_of(&data_set(b"\x08\x00\x60\x00CS\x02\x00MR")), ImagingError::NoPixelData);
}

#[test]
fn a_deflated_bomb_stops_at_the_limit() {
    use std::io::Write;
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    file.extend([2, 0, 0x10, 0]);
    file.extend(b"UI\x16\x001.2.840.10008.1.2.1.99");
    let mut encoder = flate2::write::DeflateEncoder::new(file, flate2::Compression::best());
    for _ in 0..512 {
        encoder.write_all(&[0; 65_536]).unwrap();
    }
    let file = encoder.finish().unwrap();
    let limits = Limits { max_file_bytes: 1 << 20, ..Limits::default() };
    let error = read(&file, &limits).unwrap_err();
    assert!(matches!(error, ImagingError::TooLarge { found: 1_048_577, limit: 1_048_576, .. }), "{error}");
}

#[test]
fn headers_that_contradict_themselves() {
    for (tag, value) in [
        ([0x28, 0, 0x00, 0x01], 32u16), // Bits Allocated
        ([0x28, 0, 0x00, 0x01], 1),
        ([0x28, 0, 0x01, 0x01], 0), // Bits Stored
        ([0x28, 0, 0x01, 0x01], 17),
        ([0x28, 0, 0x02, 0x01], 99), // High Bit
        ([0x28, 0, 0x02, 0x01], 3),
        ([0x28, 0, 0x02, 0x00], 3), // Samples per Pixel
    ] {
        let mut bytes = vector("signed16_explicit");
        let at = bytes.windows(4).position(|four| four == tag).unwrap();
        bytes[at + 8..at + 10].copy_from_slice(&value.to_le_bytes());
        let error = error_of(&bytes);
        assert!(
            matches!(error, ImagingError::Malformed { .. } | ImagingError::Unsupported { .. }),
            "{tag:?} {value}: {error}"
        );
    }
}

#[test]
fn saturated_values_survive() {
    for (bits, signed) in [(8, false), (16, false), (16, true), (12, true)] {
        let mut pixels =
            PixelTensor { width: 8, height: 8, channels: 1, frames: 1, bits, signed, samples: vec![0; 64] };
        let (low, high) = pixels.storable_range();
        pixels.samples[..32].fill(high);
        pixels.samples[32..].fill(low);
        if !signed {
            for file in [png_file(&pixels), tiff_file(&pixels)] {
                let picture = read(&file, &Limits::default()).unwrap();
                let (_, again) = rebuild(picture.format, &picture.container, &pixels, &lossy_step()).unwrap();
                assert_eq!(read(&again, &Limits::default()).unwrap().pixels, pixels);
            }
        }
    }
    let picture = read(&vector("signed16_explicit"), &Limits::default()).unwrap();
    let mut pixels = picture.pixels.clone();
    pixels.samples.fill(32_767);
    let (_, file) = rebuild(picture.format, &picture.container, &pixels, &lossy_step()).unwrap();
    assert_eq!(read(&file, &Limits::default()).unwrap().pixels, pixels);
}

#[test]
fn pixels_that_do_not_belong_are_refused() {
    for file in [vector("grey12_deflated"), png_file(&original(9, 9, 1, 8, 255, 0))] {
        let picture = read(&file, &Limits::default()).unwrap();
        let refuse = |pixels: &PixelTensor| {
            rebuild(picture.format, &picture.container, pixels, &lossy_step()).unwrap_err()
        };
        let mut beyond = picture.pixels.clone();
        beyond.samples[7] = beyond.storable_range().1 + 1;
        assert!(matches!(refuse(&beyond), ImagingError::ValueOutOfRange { .. }));
        beyond.samples[7] = -1;
        assert!(matches!(refuse(&beyond), ImagingError::ValueOutOfRange { .. }));
        let mut short = picture.pixels.clone();
        short.samples.pop();
        assert_eq!(refuse(&short), ImagingError::ShapeMismatch);
        assert_eq!(refuse(&PixelTensor { width: 0, ..picture.pixels.clone() }), ImagingError::ShapeMismatch);
        assert_eq!(
            refuse(&PixelTensor { signed: true, ..picture.pixels.clone() }),
            ImagingError::ShapeMismatch
        );
    }
}

#[test]
fn containers_of_another_format_are_refused() {
    let dicom = read(&vector("signed16_explicit"), &Limits::default()).unwrap();
    let png = read(&png_file(&dicom_like(&dicom.pixels)), &Limits::default()).unwrap();
    assert!(rebuild(Format::Png, &dicom.container, &dicom.pixels, &lossy_step()).is_err());
    assert!(rebuild(Format::Dicom, &png.container, &png.pixels, &lossy_step()).is_err());
}

fn dicom_like(pixels: &PixelTensor) -> PixelTensor {
    let samples = pixels.samples.iter().map(|sample| sample + 1000).collect();
    PixelTensor { signed: false, samples, ..pixels.clone() }
}

#[test]
fn errors_name_no_patient() {
    for (_, bytes) in small_files() {
        for length in (0..bytes.len()).step_by(37) {
            if let Err(error) = read(&bytes[..length], &Limits::default()) {
                let text = format!("{error} {error:?}");
                assert!(
                    !text.contains("Yamada") && !text.contains("VECTOR") && !text.contains("2.25."),
                    "{text}"
                );
            }
        }
    }
}
