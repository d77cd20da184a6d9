//! The coded image and what its decoder rests on (docs/BITSTREAM.md; a model's folder).

use latentwire_codec::{
    Header,
    model::{DecodeSpec, Manifest, refuse_external_data},
};
use latentwire_latent::{
    Knob, LevelQuantiser, MAX_SYMBOL, Tables, decode, decode_levels, encode, encode_levels,
};

/// A coded image's header. Its lengths are exact: neither a byte less nor one more is the same image.
pub(crate) fn bitstream(data: &[u8]) {
    let Ok(header) = Header::parse(data) else { return };
    assert!(Header::parse(&data[..data.len() - 1]).is_err());
    let longer = [data, &[0]].concat();
    assert!(Header::parse(&longer).is_err());
    if let Header::Latent(header) = &header {
        let _ = (header.raw_bytes(), header.raw_row_bytes());
    }
}

/// `[rows, columns, length of the tables, u16, tables, tile]`: a tile under tables of any model. One latent has one coded form.
pub(crate) fn entropy(data: &[u8]) {
    let Some(([rows, columns, high, low], rest)) = data.split_first_chunk::<4>() else { return };
    let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
    let (tables, tile) = rest.split_at(length);
    let Ok(tables) = Tables::parse(tables) else { return };
    let (rows, columns) = (u32::from(rows % 32) + 1, u32::from(columns % 32) + 1);
    if tables.has_levels() {
        return entropy_with_levels(&tables, rows, columns, tile);
    }
    let Ok(latent) = decode(&tables, tables.channels(), rows, columns, tile) else { return };
    assert!(latent.values.iter().all(|value| value.abs() <= MAX_SYMBOL));
    assert_eq!(encode(&tables, &latent).as_deref(), Ok(tile));
}

/// The same with block levels, at the neutral knob.
fn entropy_with_levels(tables: &Tables, rows: u32, columns: u32, tile: &[u8]) {
    let steps: Vec<u32> = (0..u32::from(tables.channels())).map(|c| (90_000 * c).max(1)).collect();
    let quantiser = LevelQuantiser::new(&steps, Knob::NEUTRAL).expect("steps in range");
    let Ok(latent) = decode_levels(tables, rows, columns, tile, &quantiser) else { return };
    assert!(latent.values.iter().all(|value| value.abs() <= MAX_SYMBOL));
    assert_eq!(encode_levels(tables, &latent, &quantiser).as_deref(), Ok(tile));
}

/// A model folder's files.
pub(crate) fn model(data: &[u8]) {
    let _ = DecodeSpec::parse(data);
    let _ = Manifest::parse(data);
    let _ = refuse_external_data(data);
    let _ = Tables::parse(data);
}
