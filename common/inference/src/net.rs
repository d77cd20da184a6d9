//! Encoder and decoder nets: the tiles of a picture through the sessions of a model.

use latentwire_model::OutputKind;
use ort::value::TensorElementType;

use crate::error::InferenceError;
use crate::geometry::{Geometry, Tile, Window};
use crate::runtime::{Runtime, SessionOptions};
use crate::session::{Net, Shape, Signature};

/// A latent as the nets give and take it, planar: index = `(channel * height + y) * width + x`.
#[derive(Clone, PartialEq, Debug)]
pub struct LatentTensor {
    /// Number of channels.
    pub channels: u8,
    /// Rows of a channel: the picture's height divided by the stride, rounded up; with whole tiles, those of all tiles.
    pub height: u32,
    /// Columns of a channel: likewise of its width.
    pub width: u32,
    /// `channels * height * width` values.
    pub values: Vec<f32>,
}

/// Planes of a decoded window, planar: index = `(channel * height + y) * width + x`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Planes<'a> {
    /// Nominally 0.0 to 1.0; always finite.
    Float32(&'a [f32]),
    /// Fixed point as the model's [`OutputKind::Int32`] says.
    Int32(&'a [i32]),
}

/// An analysis net g_a with its pool of sessions: `pixels` `[1, C, H, W]` f32 → `latent` `[1, c, h, w]` f32.
///
/// Can be used from several threads at once; a picture waits until one of the sessions is idle.
#[derive(Debug)]
pub struct EncoderNet {
    geometry: Geometry,
    net: Net,
}

impl EncoderNet {
    /// Loads an encoder and runs it once on a small blank picture, so that a manifest that lies about the net is found
    /// out before the first image is.
    ///
    /// # Errors
    /// [`InferenceError::Geometry`], [`InferenceError::Load`] when ONNX Runtime refuses the bytes,
    /// [`InferenceError::Shape`] when the net is not what `geometry` says, [`InferenceError::Run`].
    pub fn new(
        runtime: &Runtime,
        onnx: &[u8],
        geometry: Geometry,
        options: &SessionOptions,
    ) -> Result<Self, InferenceError> {
        geometry.check()?;
        let signature = Signature {
            net: ENCODER,
            input: "pixels",
            input_channels: geometry.pixel_channels,
            output: "latent",
            output_channels: geometry.latent_channels,
            output_type: TensorElementType::Float32,
            bit_exact: false,
            fixed_input: geometry.fixed_side().map(|side| side * geometry.stride),
            fixed_output: geometry.fixed_side(),
        };
        let net = Net::load(runtime, onnx, signature, options)?;
        let (pixels, latent) = probe_shapes(&geometry);
        net.run::<f32, _>(&vec![0.0; pixels.length()], pixels, latent, |_| Ok(()))?;
        Ok(Self { geometry, net })
    }

    /// Encodes a picture of `width` x `height` pixels (1 to 65,535 each), a tile at a time.
    ///
    /// `fill` is called once a tile, row by row, and writes planar `[channels][height][width]` values of 0.0 to 1.0 for
    /// a window. The sides are padded to multiples of the stride, or to whole tiles where the geometry says so: a window
    /// may reach beyond the picture's right and lower edge, by less than a stride or a tile, and there the edge's own
    /// values must be repeated.
    ///
    /// Memory: one window, what the net needs for it, and the latent.
    ///
    /// # Errors
    /// [`InferenceError::ZeroSize`], [`InferenceError::TooLarge`], [`InferenceError::NotFinite`] when the net gives NaN
    /// or infinity, [`InferenceError::Run`], [`InferenceError::Shape`].
    pub fn encode(
        &self,
        width: u32,
        height: u32,
        fill: &mut dyn FnMut(Window, &mut [f32]),
    ) -> Result<LatentTensor, InferenceError> {
        let Geometry { stride, pixel_channels, latent_channels, encoder_halo, .. } = self.geometry;
        let (latent_width, latent_height) = self.geometry.latent_size(width, height)?;
        let whole = Shape { channels: latent_channels, height: latent_height, width: latent_width };
        let mut values = vec![0.0; whole.length()];
        let mut pixels = Vec::new();
        for tile in self.geometry.tiles(latent_width, latent_height, encoder_halo) {
            let latent = window_shape(&tile, latent_channels, 1);
            let shape = window_shape(&tile, pixel_channels, stride);
            let window = Window {
                x: i64::from(tile.columns.window) * i64::from(stride),
                y: i64::from(tile.rows.window) * i64::from(stride),
                width: shape.width,
                height: shape.height,
            };
            pixels.clear();
            pixels.resize(shape.length(), 0.0);
            fill(window, &mut pixels);
            self.net.run(&pixels, shape, latent, |found| {
                check_finite(ENCODER, found)?;
                place_core(found, latent, &tile, &mut values, whole);
                Ok(())
            })?;
        }
        Ok(LatentTensor { channels: latent_channels, height: latent_height, width: latent_width, values })
    }
}

/// A synthesis net g_s with its pool of sessions: `latent` `[1, c, h, w]` f32 → `pixels` `[1, C, H, W]` f32 or int32.
///
/// Can be used from several threads at once; a picture waits until one of the sessions is idle.
#[derive(Debug)]
pub struct DecoderNet {
    geometry: Geometry,
    output: OutputKind,
    net: Net,
}

impl DecoderNet {
    /// Loads a decoder and runs it once on a small blank latent, so that a manifest that lies about the net is found
    /// out before the first image is.
    ///
    /// # Errors
    /// [`InferenceError::Geometry`], [`InferenceError::Load`] when ONNX Runtime refuses the bytes,
    /// [`InferenceError::Shape`] when the net is not what `geometry` and `output` say, [`InferenceError::Run`].
    pub fn new(
        runtime: &Runtime,
        onnx: &[u8],
        geometry: Geometry,
        options: &SessionOptions,
        output: OutputKind,
    ) -> Result<Self, InferenceError> {
        geometry.check()?;
        let (output_type, bit_exact) = match output {
            OutputKind::Float32 => (TensorElementType::Float32, false),
            OutputKind::Int32 { .. } => (TensorElementType::Int32, true),
        };
        let signature = Signature {
            net: DECODER,
            input: "latent",
            input_channels: geometry.latent_channels,
            output: "pixels",
            output_channels: geometry.pixel_channels,
            output_type,
            bit_exact,
            fixed_input: geometry.fixed_side(),
            fixed_output: geometry.fixed_side().map(|side| side * geometry.stride),
        };
        let net = Net::load(runtime, onnx, signature, options)?;
        let (pixels, latent) = probe_shapes(&geometry);
        let blank = vec![0.0; latent.length()];
        match output {
            OutputKind::Float32 => net.run::<f32, _>(&blank, latent, pixels, |_| Ok(()))?,
            OutputKind::Int32 { .. } => net.run::<i32, _>(&blank, latent, pixels, |_| Ok(()))?,
        }
        Ok(Self { geometry, output, net })
    }

    /// Decodes a latent to a picture of `width` x `height` pixels (1 to 65,535 each), a tile at a time.
    ///
    /// `emit` is called once a tile, row by row, with the tile's core window (without halo, cropped to the picture) and
    /// its planes `[channels][height][width]`. The windows cover each pixel exactly once.
    ///
    /// Memory: one window and what the net needs for it.
    ///
    /// # Errors
    /// [`InferenceError::ZeroSize`], [`InferenceError::TooLarge`], [`InferenceError::Shape`] when `latent` is not that
    /// of such a picture, [`InferenceError::NotFinite`] when the latent holds or the net gives NaN or infinity,
    /// [`InferenceError::Run`]. After an error, tiles already emitted are no picture.
    pub fn decode(
        &self,
        width: u32,
        height: u32,
        latent: &LatentTensor,
        emit: &mut dyn FnMut(Window, Planes<'_>),
    ) -> Result<(), InferenceError> {
        self.check_latent(width, height, latent)?;
        match self.output {
            OutputKind::Float32 => self.decode_tiles(width, height, latent, |window, values: &[f32]| {
                check_finite(DECODER, values)?;
                emit(window, Planes::Float32(values));
                Ok(())
            }),
            OutputKind::Int32 { .. } => self.decode_tiles(width, height, latent, |window, values: &[i32]| {
                emit(window, Planes::Int32(values));
                Ok(())
            }),
        }
    }

    /// Channels of the latents that it takes.
    pub(crate) fn latent_channels(&self) -> u8 {
        self.geometry.latent_channels
    }

    /// Runs the net on a latent in one piece, whatever its tiles, and hands its output on, little endian.
    pub(crate) fn run_whole<R>(
        &self,
        latent: &LatentTensor,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, InferenceError> {
        let LatentTensor { channels, height, width, .. } = *latent;
        let shape = Shape { channels, height, width };
        let Geometry { stride, pixel_channels, .. } = self.geometry;
        let pixels = Shape { channels: pixel_channels, height: height * stride, width: width * stride };
        match self.output {
            OutputKind::Float32 => self.net.run(&latent.values, shape, pixels, |found: &[f32]| {
                Ok(read(&found.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()))
            }),
            OutputKind::Int32 { .. } => self.net.run(&latent.values, shape, pixels, |found: &[i32]| {
                Ok(read(&found.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()))
            }),
        }
    }

    fn check_latent(&self, width: u32, height: u32, latent: &LatentTensor) -> Result<(), InferenceError> {
        let (latent_width, latent_height) = self.geometry.latent_size(width, height)?;
        let expected =
            Shape { channels: self.geometry.latent_channels, height: latent_height, width: latent_width };
        let found = Shape { channels: latent.channels, height: latent.height, width: latent.width };
        if found != expected || latent.values.len() != expected.length() {
            return Err(InferenceError::Shape {
                net: DECODER,
                tensor: format!("latent for a picture of {width} x {height}"),
                expected: format!("{:?}, {} values", expected.dimensions(), expected.length()),
                found: format!("{:?}, {} values", found.dimensions(), latent.values.len()),
            });
        }
        check_finite(DECODER, &latent.values)
    }

    fn decode_tiles<T: ort::value::PrimitiveTensorElementType + Copy>(
        &self,
        width: u32,
        height: u32,
        latent: &LatentTensor,
        mut emit: impl FnMut(Window, &[T]) -> Result<(), InferenceError>,
    ) -> Result<(), InferenceError> {
        let Geometry { stride, pixel_channels, decoder_halo, .. } = self.geometry;
        let whole = Shape { channels: latent.channels, height: latent.height, width: latent.width };
        let (mut input, mut core) = (Vec::new(), Vec::new());
        for tile in self.geometry.tiles(latent.width, latent.height, decoder_halo) {
            let shape = window_shape(&tile, latent.channels, 1);
            let pixels = window_shape(&tile, pixel_channels, stride);
            let source = Rectangle {
                x: tile.columns.window,
                y: tile.rows.window,
                width: tile.columns.window_length,
                height: tile.rows.window_length,
            };
            copy_rectangle(&latent.values, whole, source, &mut input);
            let (columns, rows) =
                (tile.columns.scaled(stride).cropped(width), tile.rows.scaled(stride).cropped(height));
            let inner = Rectangle {
                x: columns.margin(),
                y: rows.margin(),
                width: columns.core_length,
                height: rows.core_length,
            };
            self.net.run::<T, _>(&input, shape, pixels, |found| {
                copy_rectangle(found, pixels, inner, &mut core);
                Ok(())
            })?;
            let window = Window {
                x: i64::from(columns.core),
                y: i64::from(rows.core),
                width: columns.core_length,
                height: rows.core_length,
            };
            emit(window, &core)?;
        }
        Ok(())
    }
}

const ENCODER: &str = "encoder";
const DECODER: &str = "decoder";

/// Shapes of a small picture and its latent; the sides differ, so that a net that exchanges them is found out, unless it
/// takes one size only.
fn probe_shapes(geometry: &Geometry) -> (Shape, Shape) {
    let (height, width) = geometry.fixed_side().map_or((8, 12), |side| (side, side));
    let latent = Shape { channels: geometry.latent_channels, height, width };
    let pixels = Shape {
        channels: geometry.pixel_channels,
        height: latent.height * geometry.stride,
        width: latent.width * geometry.stride,
    };
    (pixels, latent)
}

fn window_shape(tile: &Tile, channels: u8, stride: u32) -> Shape {
    Shape { channels, height: tile.rows.window_length * stride, width: tile.columns.window_length * stride }
}

fn check_finite(net: &'static str, values: &[f32]) -> Result<(), InferenceError> {
    if values.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(InferenceError::NotFinite { net }) }
}

#[derive(Clone, Copy)]
struct Rectangle {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

/// Copies a rectangle of all planes of `source` to `target`, which is emptied first.
fn copy_rectangle<T: Copy>(source: &[T], shape: Shape, rectangle: Rectangle, target: &mut Vec<T>) {
    target.clear();
    for row in rows(shape, rectangle) {
        target.extend_from_slice(&source[row]);
    }
}

/// Copies the core of a tile's latent (of the shape `found`) to its place in the whole.
fn place_core(window: &[f32], found: Shape, tile: &Tile, whole: &mut [f32], shape: Shape) {
    let (columns, lines) = (tile.columns, tile.rows);
    let (width, height) = (columns.core_length, lines.core_length);
    let sources = rows(found, Rectangle { x: columns.margin(), y: lines.margin(), width, height });
    let targets = rows(shape, Rectangle { x: columns.core, y: lines.core, width, height });
    for (source, target) in sources.zip(targets) {
        whole[target].copy_from_slice(&window[source]);
    }
}

/// Index ranges of a rectangle's rows, plane by plane.
fn rows(shape: Shape, rectangle: Rectangle) -> impl Iterator<Item = std::ops::Range<usize>> {
    let (width, height) = (shape.width as usize, shape.height as usize);
    (0..usize::from(shape.channels)).flat_map(move |channel| {
        (0..rectangle.height as usize).map(move |y| {
            let start = (channel * height + rectangle.y as usize + y) * width + rectangle.x as usize;
            start..start + rectangle.width as usize
        })
    })
}
