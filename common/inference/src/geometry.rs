//! How a picture is cut for a net.
//!
//! A tile's core is computed with a halo round it at least as wide as the net's receptive field, and the halo is cut
//! away. At the picture's edge there is no halo: the tile ends there, and the net pads with zeros exactly as it does
//! when the whole picture is run at once. So tiling does not change the result.
//!
//! Nets that take tiles of one size only (a dense layer over the whole tile, as paper B's) have no halo and see no
//! shorter tile: the picture is padded to whole tiles, the edge's own values going on, and what was added is cut away
//! after decoding.
//!
//! ```text
//! ┌────────┬───────┐    core of tile (0,0): 0..tile
//! │ core   ┊halo   │    its window:         0..tile + halo, cut at the padded picture's edge
//! │        ┊       │
//! ├┄┄┄┄┄┄┄┄┘       │
//! │ halo           │
//! ```

use latentwire_model::DecodeSpec;

use crate::error::InferenceError;

/// Shapes that a pair of nets agrees on; lengths in picture pixels, multiples of the stride.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Picture pixels a latent position covers along a side; at least 1.
    pub stride: u32,
    /// Planes of the picture side; at least 1.
    pub pixel_channels: u8,
    /// Channels of the latent; at least 1.
    pub latent_channels: u8,
    /// Side of a tile's core; at least the stride, at most 65,536.
    pub tile: u32,
    /// Margin round an encoder tile: at least the encoder's receptive field on one side; at most 65,536.
    pub encoder_halo: u32,
    /// Margin round a decoder tile: at least the decoder's receptive field on one side; at most 65,536.
    pub decoder_halo: u32,
    /// Whether the nets take tiles of exactly this size, so that pictures are padded to whole ones; then no halo.
    pub whole: bool,
}

impl From<&DecodeSpec> for Geometry {
    fn from(spec: &DecodeSpec) -> Self {
        Self {
            stride: spec.latent.stride,
            pixel_channels: spec.pixels.channels,
            latent_channels: spec.latent.channels,
            tile: spec.tiles.size,
            encoder_halo: spec.tiles.encoder_halo,
            decoder_halo: spec.tiles.decoder_halo,
            whole: spec.tiles.whole,
        }
    }
}

/// A rectangle of the picture, in pixels; it may reach beyond the picture's edges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Column of the left edge, counted from the picture's; signed, as a window may begin outside.
    pub x: i64,
    /// Row of the upper edge, counted from the picture's; signed, as a window may begin outside.
    pub y: i64,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Largest side of a picture: the bitstream's own limit.
const MAX_SIDE: u32 = 65_535;
/// Largest tile and halo.
const MAX_TILE: u32 = 65_536;

impl Geometry {
    /// # Errors
    /// [`InferenceError::Geometry`] when a length is zero, too large, or no multiple of the stride.
    pub(crate) fn check(&self) -> Result<(), InferenceError> {
        let lengths =
            [("tile", self.tile), ("encoder_halo", self.encoder_halo), ("decoder_halo", self.decoder_halo)];
        let problem = if self.stride == 0 || self.pixel_channels == 0 || self.latent_channels == 0 {
            Some("stride and channels must not be zero".to_owned())
        } else if self.tile == 0 {
            Some("the tile must not be zero".to_owned())
        } else if self.whole && (self.encoder_halo, self.decoder_halo) != (0, 0) {
            Some("whole tiles have no halo".to_owned())
        } else {
            lengths.iter().find(|(_, length)| *length > MAX_TILE || length % self.stride != 0).map(
                |(name, length)| {
                    format!(
                        "{name} is {length}: it must be a multiple of the stride {} and at most {MAX_TILE}",
                        self.stride
                    )
                },
            )
        };
        problem.map_or(Ok(()), |problem| Err(InferenceError::Geometry { problem }))
    }

    /// Columns and rows of the latent of a picture: its sides divided by the stride, rounded up; where tiles are whole,
    /// those of all its tiles.
    pub(crate) fn latent_size(&self, width: u32, height: u32) -> Result<(u32, u32), InferenceError> {
        if width == 0 || height == 0 {
            return Err(InferenceError::ZeroSize);
        }
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(InferenceError::TooLarge { width, height, limit: MAX_SIDE });
        }
        let positions = |side: u32| match self.whole {
            true => side.div_ceil(self.tile) * (self.tile / self.stride),
            false => side.div_ceil(self.stride),
        };
        Ok((positions(width), positions(height)))
    }

    /// The side that both of the net's tensors must have, in latent positions; `None` where it takes any.
    pub(crate) fn fixed_side(&self) -> Option<u32> {
        self.whole.then_some(self.tile / self.stride)
    }

    /// The tiles of a latent of `width` x `height`, row by row, for a net with the given halo (in pixels).
    pub(crate) fn tiles(&self, width: u32, height: u32, halo: u32) -> impl Iterator<Item = Tile> + use<> {
        let (side, halo) = (self.tile / self.stride, halo / self.stride);
        spans(height, side, halo)
            .flat_map(move |rows| spans(width, side, halo).map(move |columns| Tile { columns, rows }))
    }
}

/// A tile, in latent positions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tile {
    pub(crate) columns: Span,
    pub(crate) rows: Span,
}

/// One side of a tile: the core, and the window that holds it with its halo.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) core: u32,
    pub(crate) core_length: u32,
    pub(crate) window: u32,
    pub(crate) window_length: u32,
}

impl Span {
    /// The same span in pixels.
    pub(crate) fn scaled(self, stride: u32) -> Self {
        Self {
            core: self.core * stride,
            core_length: self.core_length * stride,
            window: self.window * stride,
            window_length: self.window_length * stride,
        }
    }

    /// The same span with its core cut at `end`.
    pub(crate) fn cropped(self, end: u32) -> Self {
        Self { core_length: self.core_length.min(end.saturating_sub(self.core)), ..self }
    }

    /// Where the core begins in the window.
    pub(crate) fn margin(self) -> u32 {
        self.core - self.window
    }
}

fn spans(length: u32, side: u32, halo: u32) -> impl Iterator<Item = Span> {
    (0..length).step_by(side as usize).map(move |core| {
        let end = core.saturating_add(side).min(length);
        let window = core.saturating_sub(halo);
        let window_end = end.saturating_add(halo).min(length);
        Span { core, core_length: end - core, window, window_length: window_end - window }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry {
        stride: 2,
        pixel_channels: 3,
        latent_channels: 3,
        tile: 8,
        encoder_halo: 4,
        decoder_halo: 4,
        whole: false,
    };
    const WHOLE: Geometry = Geometry { encoder_halo: 0, decoder_halo: 0, whole: true, ..GEOMETRY };

    #[test]
    fn cores_cover_the_latent_once_and_windows_stay_inside() {
        for (width, height, halo) in [(1, 1, 0), (4, 4, 4), (5, 4, 4), (17, 9, 4), (3, 40, 8), (9, 9, 100)] {
            let mut covered = vec![0; (width * height) as usize];
            for tile in GEOMETRY.tiles(width, height, halo) {
                for (span, length) in [(tile.columns, width), (tile.rows, height)] {
                    let (core_end, window_end) =
                        (span.core + span.core_length, span.window + span.window_length);
                    assert!(span.window <= span.core && core_end <= window_end && window_end <= length);
                    // A full halo, or the picture's edge.
                    assert!(span.margin() == halo / 2 || span.window == 0);
                    assert!(window_end - core_end == halo / 2 || window_end == length);
                }
                for y in tile.rows.core..tile.rows.core + tile.rows.core_length {
                    for x in tile.columns.core..tile.columns.core + tile.columns.core_length {
                        covered[(y * width + x) as usize] += 1;
                    }
                }
            }
            assert!(covered.iter().all(|&times| times == 1), "{width} {height} {halo}");
        }
    }

    #[test]
    fn a_picture_of_one_tile_is_one_window() {
        let tiles: Vec<_> = GEOMETRY.tiles(4, 4, 4).collect();
        let whole = Span { core: 0, core_length: 4, window: 0, window_length: 4 };
        assert_eq!(tiles, [Tile { columns: whole, rows: whole }]);
    }

    #[test]
    fn whole_tiles_cover_the_picture_and_are_all_alike() {
        for (pixels, tiles) in [((1, 1), 1), ((8, 8), 1), ((9, 8), 2), ((7, 17), 3), ((65_535, 1), 8192)] {
            let (width, height) = WHOLE.latent_size(pixels.0, pixels.1).unwrap();
            assert!(width * 2 >= pixels.0 && height * 2 >= pixels.1);
            let found: Vec<_> = WHOLE.tiles(width, height, 0).collect();
            assert_eq!(found.len(), tiles, "{pixels:?}");
            for tile in found {
                for span in [tile.columns, tile.rows] {
                    assert_eq!((span.core_length, span.window_length, span.margin()), (4, 4, 0));
                }
            }
        }
        assert_eq!((GEOMETRY.fixed_side(), WHOLE.fixed_side()), (None, Some(4)));
    }

    #[test]
    fn unsound_geometries_are_refused() {
        assert!(GEOMETRY.check().is_ok() && WHOLE.check().is_ok());
        for geometry in [
            Geometry { stride: 0, ..GEOMETRY },
            Geometry { stride: 3, ..GEOMETRY },
            Geometry { pixel_channels: 0, ..GEOMETRY },
            Geometry { latent_channels: 0, ..GEOMETRY },
            Geometry { tile: 0, ..GEOMETRY },
            Geometry { tile: 7, ..GEOMETRY },
            Geometry { tile: u32::MAX - 1, ..GEOMETRY },
            Geometry { encoder_halo: 1, ..GEOMETRY },
            Geometry { decoder_halo: 70_000, ..GEOMETRY },
            Geometry { whole: true, ..GEOMETRY },
        ] {
            assert!(matches!(geometry.check(), Err(InferenceError::Geometry { .. })), "{geometry:?}");
        }
        assert!(matches!(GEOMETRY.latent_size(0, 3), Err(InferenceError::ZeroSize)));
        assert!(matches!(GEOMETRY.latent_size(65_536, 3), Err(InferenceError::TooLarge { .. })));
        assert_eq!(GEOMETRY.latent_size(7, 8).unwrap(), (4, 4));
    }
}
