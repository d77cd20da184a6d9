//! How a frame's latent is cut into tiles that are entropy-coded alone.

use latentwire_model::DecodeSpec;

/// Side of the tiles that this version writes, in latent positions, unless the model says it.
pub(crate) const TILE_SIDE: u16 = 256;

/// The same where blocks have levels, whose latents have many channels: a tile's context then stays within some megabytes.
pub(crate) const LEVELS_TILE_SIDE: u16 = 64;

/// Side of the tiles of a model whose nets take whole tiles only, in latent positions.
pub(crate) fn whole_tile(spec: &DecodeSpec) -> Option<u32> {
    spec.tiles.whole.then(|| spec.tiles.size / spec.latent.stride)
}

/// Latent positions along a side of so many pixels, rounded up to whole tiles where there is a tile to be filled; `None`
/// past `u32`.
pub(crate) fn latent_side(pixels: u32, stride: u32, whole_tile: Option<u32>) -> Option<u32> {
    let side = pixels.div_ceil(stride);
    match whole_tile {
        Some(tile) => side.checked_next_multiple_of(tile),
        None => Some(side),
    }
}

/// The tiles of one frame's latent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TileGrid {
    /// Columns of the latent.
    pub(crate) width: u32,
    /// Rows of the latent.
    pub(crate) height: u32,
    /// Side of a tile; those at the right and lower edge may be smaller.
    pub(crate) side: u32,
}

/// One tile, in latent positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl TileGrid {
    pub(crate) fn count(&self) -> u64 {
        u64::from(self.width.div_ceil(self.side)) * u64::from(self.height.div_ceil(self.side))
    }

    /// Row by row, left to right.
    pub(crate) fn tiles(self) -> impl Iterator<Item = Tile> {
        let step = self.side as usize;
        (0..self.height).step_by(step).flat_map(move |y| {
            (0..self.width).step_by(step).map(move |x| Tile {
                x,
                y,
                width: self.side.min(self.width - x),
                height: self.side.min(self.height - y),
            })
        })
    }

    /// Cuts a tile out of a planar latent.
    pub(crate) fn cut(&self, latent: &[f32], channels: u8, tile: Tile) -> Vec<f32> {
        let mut out = Vec::with_capacity(usize::from(channels) * tile.width as usize * tile.height as usize);
        for row in self.rows(channels, tile) {
            out.extend_from_slice(&latent[row..row + tile.width as usize]);
        }
        out
    }

    /// Puts a tile back into a planar latent.
    pub(crate) fn paste(&self, values: &[f32], latent: &mut [f32], channels: u8, tile: Tile) {
        let width = tile.width as usize;
        for (row, values) in self.rows(channels, tile).zip(values.chunks_exact(width)) {
            latent[row..row + width].copy_from_slice(values);
        }
    }

    /// Where each row of a tile starts in a planar latent, channel after channel.
    fn rows(&self, channels: u8, tile: Tile) -> impl Iterator<Item = usize> {
        let (width, height) = (self.width as usize, self.height as usize);
        (0..usize::from(channels)).flat_map(move |channel| {
            (tile.y..tile.y + tile.height)
                .map(move |y| (channel * height + y as usize) * width + tile.x as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_position_once_and_in_order() {
        for (width, height, side) in [(1, 1, 16), (16, 16, 16), (17, 31, 16), (100, 40, 32)] {
            let grid = TileGrid { width, height, side };
            let tiles: Vec<_> = grid.tiles().collect();
            assert_eq!(tiles.len() as u64, grid.count());
            assert!(tiles.is_sorted_by_key(|tile| (tile.y, tile.x)));
            let area: u32 = tiles.iter().map(|tile| tile.width * tile.height).sum();
            assert_eq!(area, width * height);
        }
    }

    #[test]
    fn sides_are_rounded_up_to_strides_and_to_whole_tiles() {
        assert_eq!(latent_side(1, 2, None), Some(1));
        assert_eq!(latent_side(65, 2, None), Some(33));
        assert_eq!([1, 512, 513].map(|side| latent_side(side, 32, Some(16))), [16, 16, 32].map(Some));
        assert_eq!(latent_side(u32::MAX, 1, None), Some(u32::MAX));
        assert_eq!(latent_side(u32::MAX, 1, Some(16)), None);
    }

    #[test]
    fn cut_and_paste_are_inverse() {
        let grid = TileGrid { width: 37, height: 21, side: 16 };
        let latent: Vec<f32> = (0..3 * 37 * 21).map(|index| index as f32).collect();
        let mut back = vec![-1.0; latent.len()];
        for tile in grid.tiles() {
            grid.paste(&grid.cut(&latent, 3, tile), &mut back, 3, tile);
        }
        assert_eq!(back, latent);
    }
}
