//! PNG, JPEG and TIFF: what is read, and that a rebuilt file holds the same.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use std::io::Cursor;

use common::{jpeg_in, lossy_step, original, png_file, sample, tiff_file};
use latentwire_imaging::{ContentHint, Format, Limits, Picture, PixelTensor, read, rebuild};

fn read_bytes(bytes: &[u8]) -> Picture {
    read(bytes, &Limits::default()).unwrap()
}

fn rebuilt(picture: &Picture) -> (Format, Vec<u8>) {
    rebuild(picture.format, &picture.container, &picture.pixels, &lossy_step()).unwrap()
}

fn pictures() -> [PixelTensor; 4] {
    [
        original(31, 20, 1, 8, 255, 0),
        original(32, 21, 3, 8, 255, 0),
        original(33, 22, 1, 16, 65_535, 0),
        original(34, 23, 3, 16, 65_535, 0),
    ]
}

#[test]
fn png_and_tiff_of_8_and_16_bits_survive() {
    for pixels in pictures() {
        for (format, file) in [(Format::Png, png_file(&pixels)), (Format::Tiff, tiff_file(&pixels))] {
            let picture = read_bytes(&file);
            assert_eq!((picture.format, picture.exact_only, picture.hint), (format, None, ContentHint::None));
            assert_eq!(picture.pixels, pixels);
            let (rebuilt_format, file) = rebuilt(&picture);
            assert_eq!(rebuilt_format, format);
            assert_eq!(read_bytes(&file).pixels, pixels);
        }
    }
}

#[test]
fn signed_and_white_is_zero_tiffs_are_read() {
    use tiff::{
        encoder::{TiffEncoder, colortype},
        tags::Tag,
    };
    let pixels = original(20, 10, 1, 16, 30_000, -12_000);
    let mut file = Cursor::new(Vec::new());
    let words: Vec<i16> = pixels.samples.iter().map(|&sample| sample as i16).collect();
    TiffEncoder::new(&mut file).unwrap().write_image::<colortype::GrayI16>(20, 10, &words).unwrap();
    let picture = read_bytes(&file.into_inner());
    assert_eq!(picture.pixels, pixels);
    assert_eq!(read_bytes(&rebuilt(&picture).1).pixels, pixels);

    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).unwrap();
    let mut image = encoder.new_image::<colortype::Gray8>(2, 2).unwrap();
    image.encoder().write_tag(Tag::PhotometricInterpretation, 0u16).unwrap();
    image.write_data(&[0, 1, 254, 255]).unwrap();
    assert_eq!(read_bytes(&file.into_inner()).pixels.samples, [255, 254, 1, 0]);
}

#[test]
fn big_endian_and_planar_tiffs_are_read() {
    // A big-endian TIFF by hand: 2x2, RGB, 8 bit, planes one after another.
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 3, 1, 2 << 16),
        (257, 3, 1, 2 << 16),
        (258, 3, 3, 134),
        (259, 3, 1, 1 << 16),
        (262, 3, 1, 2 << 16),
        (273, 4, 3, 140),
        (277, 3, 1, 3 << 16),
        (278, 3, 1, 2 << 16),
        (279, 4, 3, 152),
        (284, 3, 1, 2 << 16),
    ];
    let mut file = b"MM\0*\0\0\0\x08\0\x0a".to_vec();
    for (tag, kind, count, value) in entries {
        file.extend(tag.to_be_bytes());
        file.extend(kind.to_be_bytes());
        file.extend(count.to_be_bytes());
        file.extend(value.to_be_bytes());
    }
    file.extend([0; 4]);
    assert_eq!(file.len(), 134);
    file.extend([0, 8, 0, 8, 0, 8]);
    file.extend([164u32, 168, 172].map(u32::to_be_bytes).concat());
    file.extend([4u32; 3].map(u32::to_be_bytes).concat());
    file.extend(1..=12);
    let pixels = read_bytes(&file).pixels;
    assert_eq!((pixels.channels, pixels.samples), (3, (1..=12).collect()));
}

#[test]
fn colour_resolution_and_orientation_survive_in_png() {
    let pixels = original(16, 12, 3, 8, 255, 0);
    let mut info = png::Info::with_size(16, 12);
    info.color_type = png::ColorType::Rgb;
    info.bit_depth = png::BitDepth::Eight;
    info.icc_profile = Some(vec![9; 500].into());
    info.pixel_dims = Some(png::PixelDimensions { xppu: 3937, yppu: 4000, unit: png::Unit::Meter });
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    info.exif_metadata = Some(exif.to_vec().into());
    let mut file = Vec::new();
    let mut writer = png::Encoder::with_info(&mut file, info).unwrap().write_header().unwrap();
    let raw: Vec<u8> = common::interleaved(&pixels).map(|sample| sample as u8).collect();
    writer.write_image_data(&raw).unwrap();
    writer.finish().unwrap();

    let (_, again) = rebuilt(&read_bytes(&file));
    let reader = png::Decoder::new(Cursor::new(again)).read_info().unwrap();
    let info = reader.info();
    assert_eq!(info.icc_profile.as_deref(), Some(&[9; 500][..]));
    let dimensions = info.pixel_dims.unwrap();
    assert_eq!((dimensions.xppu, dimensions.yppu, dimensions.unit), (3937, 4000, png::Unit::Meter));
    assert!(info.exif_metadata.as_deref().unwrap().windows(4).any(|window| window == [0, 6, 0, 0]));
}

#[test]
fn colour_resolution_and_orientation_survive_in_tiff() {
    use tiff::{
        decoder::{Decoder, ifd::Value},
        encoder::{Rational, TiffEncoder, colortype},
        tags::{ResolutionUnit, Tag},
    };
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).unwrap();
    let mut image = encoder.new_image::<colortype::Gray8>(8, 8).unwrap();
    image.resolution_unit(ResolutionUnit::Centimeter);
    image.x_resolution(Rational { n: 1181, d: 10 });
    image.y_resolution(Rational { n: 50, d: 1 });
    image.encoder().write_tag(Tag::Orientation, 3u16).unwrap();
    image.encoder().write_tag(Tag::IccProfile, &[5u8; 300][..]).unwrap();
    image.write_data(&[7; 64]).unwrap();

    let (_, again) = rebuilt(&read_bytes(&file.into_inner()));
    let mut decoder = Decoder::new(Cursor::new(again)).unwrap();
    assert_eq!(decoder.get_tag(Tag::XResolution).unwrap(), Value::Rational(118_100, 1000));
    assert_eq!(decoder.get_tag(Tag::YResolution).unwrap(), Value::Rational(50_000, 1000));
    assert_eq!(decoder.get_tag_u32(Tag::ResolutionUnit).unwrap(), 3);
    assert_eq!(decoder.get_tag_u32(Tag::Orientation).unwrap(), 3);
    assert_eq!(decoder.get_tag_u8_vec(Tag::IccProfile).unwrap(), [5; 300]);
}

#[test]
fn jpeg_becomes_png_with_the_same_pixels() {
    for (name, channels, bits) in
        [("grey8_jpeg_baseline", 1, 8), ("colour8_jpeg_baseline", 3, 8), ("grey12_jpeg_extended", 1, 12)]
    {
        let picture = read_bytes(&jpeg_in(name));
        assert_eq!(picture.format, Format::Jpeg);
        assert_eq!(
            (picture.pixels.channels, picture.pixels.bits, picture.exact_only),
            (channels, bits, None)
        );
        let (format, file) = rebuilt(&picture);
        assert_eq!(format, Format::Png);
        assert_eq!(read_bytes(&file).pixels.samples, picture.pixels.samples);
    }
}

#[test]
fn what_must_not_change_is_exact_only() {
    use png::{BitDepth::*, ColorType::*};
    let cases = [
        (Indexed, Eight, 4, "palette"),
        (Rgba, Eight, 16, "transparency"),
        (GrayscaleAlpha, Sixteen, 16, "transparency"),
        (Grayscale, One, 2, "fewer than 8 bits"),
        (Grayscale, Four, 2, "fewer than 8 bits"),
    ];
    for (color, depth, bytes, reason) in cases {
        let mut file = Vec::new();
        let (width, height) = if bytes == 2 && depth == One { (7, 2) } else { (2, 2) };
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == Indexed {
            encoder.set_palette(vec![0; 12]);
        }
        let mut writer = encoder.write_header().unwrap();
        let raw: Vec<u8> = (0..bytes).map(|byte| if color == Indexed { byte % 4 } else { 0x5a }).collect();
        writer.write_image_data(&raw).unwrap();
        writer.finish().unwrap();
        let picture = read_bytes(&file);
        assert!(picture.exact_only.is_some_and(|found| found.contains(reason)), "{:?}", picture.exact_only);
        if depth == One {
            assert_eq!(picture.pixels.samples, [0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 1, 0, 1]);
        }
    }
    let mut file = Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut file).unwrap();
    for _ in 0..2 {
        encoder.write_image::<tiff::encoder::colortype::Gray8>(2, 2, &[1, 2, 3, 4]).unwrap();
    }
    assert_eq!(read_bytes(&file.into_inner()).exact_only, Some("the TIFF has more than one page"));
}

#[test]
fn the_samples_are_read_and_rebuilt() {
    for (name, format, hint, shape) in [
        ("fundus/test/chase_2846f819cd.jpg", Format::Jpeg, ContentHint::None, (533, 512, 3, 8)),
        ("chest_xray/test/hannover_1890031531.jpg", Format::Jpeg, ContentHint::None, (549, 512, 1, 8)),
        ("brain_mri/test/sartaj_0b938fbd0a.jpg", Format::Jpeg, ContentHint::None, (512, 512, 1, 8)),
        ("dicom/phantom_ct_head_16bit.dcm", Format::Dicom, ContentHint::Brain, (320, 384, 1, 12)),
        ("dicom/chest_cr_8bit.dcm", Format::Dicom, ContentHint::Chest, (512, 549, 1, 8)),
        ("other/phantom_mr_head_16bit.png", Format::Png, ContentHint::None, (256, 288, 1, 16)),
        ("other/fundus_half.tiff", Format::Tiff, ContentHint::None, (266, 256, 3, 8)),
    ] {
        let picture = read_bytes(&sample(name));
        let pixels = &picture.pixels;
        assert_eq!((picture.format, picture.hint, picture.exact_only), (format, hint, None), "{name}");
        assert_eq!((pixels.width, pixels.height, pixels.channels, pixels.bits), shape, "{name}");
        assert_eq!(read_bytes(&rebuilt(&picture).1).pixels.samples, pixels.samples, "{name}");
    }
    let phantom = read_bytes(&sample("dicom/phantom_ct_head_16bit.dcm")).pixels;
    assert_eq!((phantom.signed, phantom.value_range(), phantom.data_range()), (true, (-1024, 1170), 2194));
    // 320 x 384 samples of 12 bits take two bytes each.
    assert_eq!(phantom.raw_bytes(), 245_760);
}

#[test]
fn the_hash_covers_shape_and_samples() {
    let pixels = original(6, 4, 1, 8, 255, 0);
    let turned = PixelTensor { width: 4, height: 6, ..pixels.clone() };
    let mut changed = pixels.clone();
    changed.samples[23] += 1;
    assert_eq!(pixels.sha256(), pixels.clone().sha256());
    assert_ne!(pixels.sha256(), turned.sha256());
    assert_ne!(pixels.sha256(), changed.sha256());
    let one =
        PixelTensor { width: 1, height: 1, channels: 1, frames: 1, bits: 8, signed: false, samples: vec![5] };
    // SHA-256 of 01000000 01000000 01 01000000 08 00 05000000 (hexadecimal), by sha256sum.
    assert_eq!(hex::encode(one.sha256()), "c2440ba0534dd512fc9aebbb48fe7a542b1cb82936a15d897a89523cde3b66fb");
}
