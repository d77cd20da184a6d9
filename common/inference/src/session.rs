//! A net: one ONNX model in a pool of ONNX Runtime sessions.

use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{Outlet, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType};

use crate::error::InferenceError;
use crate::pool::Pool;
use crate::runtime::{Runtime, SessionOptions, one_line};

/// What a net must be: names, types and channels of its only input and its only output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Signature {
    /// `encoder` or `decoder`, for error messages.
    pub(crate) net: &'static str,
    pub(crate) input: &'static str,
    pub(crate) input_channels: u8,
    pub(crate) output: &'static str,
    pub(crate) output_channels: u8,
    pub(crate) output_type: TensorElementType,
    /// Whether the output must be the same bits on every processor that the model is certified for.
    pub(crate) bit_exact: bool,
    /// Rows and columns of the input, where the net takes one size only.
    pub(crate) fixed_input: Option<u32>,
    /// Rows and columns of the output, likewise.
    pub(crate) fixed_output: Option<u32>,
}

/// Channels, rows and columns of a tensor `[1, channels, height, width]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) channels: u8,
    pub(crate) height: u32,
    pub(crate) width: u32,
}

impl Shape {
    pub(crate) fn dimensions(self) -> [i64; 4] {
        [1, i64::from(self.channels), i64::from(self.height), i64::from(self.width)]
    }

    /// Values in the tensor; picture sides are below 2^32 and tiles far smaller.
    pub(crate) fn length(self) -> usize {
        usize::from(self.channels) * self.height as usize * self.width as usize
    }
}

/// One ONNX model in a pool of sessions.
#[derive(Debug)]
pub(crate) struct Net {
    signature: Signature,
    sessions: Pool<Session>,
}

impl Net {
    /// Loads a model, and refuses one whose inputs and outputs are not those of `signature`.
    ///
    /// # Errors
    /// [`InferenceError::Load`], [`InferenceError::Shape`].
    pub(crate) fn load(
        runtime: &Runtime,
        onnx: &[u8],
        signature: Signature,
        options: &SessionOptions,
    ) -> Result<Self, InferenceError> {
        let sessions = (0..options.pool.max(1))
            .map(|_| open(runtime, onnx, &signature, options.threads.max(1)))
            .collect::<Result<Vec<_>, _>>()?;
        for session in &sessions {
            check_tensors(session, &signature)?;
        }
        Ok(Self { signature, sessions: Pool::new(sessions) })
    }

    /// Runs the net on one tensor and hands its output, of the shape `expected`, to `read`.
    ///
    /// # Errors
    /// [`InferenceError::Run`], [`InferenceError::Shape`], and what `read` gives.
    pub(crate) fn run<T: PrimitiveTensorElementType, R>(
        &self,
        input: &[f32],
        shape: Shape,
        expected: Shape,
        read: impl FnOnce(&[T]) -> Result<R, InferenceError>,
    ) -> Result<R, InferenceError> {
        let Signature { net, input: input_name, output: output_name, .. } = self.signature;
        let failed = |error: ort::Error| InferenceError::Run { net, problem: one_line(&error.to_string()) };
        let tensor = TensorRef::from_array_view((shape.dimensions(), input)).map_err(failed)?;
        let mut session = self.sessions.take();
        let outputs = session.run(ort::inputs![input_name => tensor]).map_err(failed)?;
        let output = outputs.get(output_name).ok_or_else(|| InferenceError::Run {
            net,
            problem: format!("it gave no tensor named {output_name}"),
        })?;
        let (found, values) = output.try_extract_tensor::<T>().map_err(failed)?;
        if **found != expected.dimensions() {
            return Err(InferenceError::Shape {
                net,
                tensor: format!("output {output_name} for an input of {:?}", shape.dimensions()),
                expected: format!("{:?}", expected.dimensions()),
                found: format!("{:?}", &**found),
            });
        }
        read(values)
    }
}

fn open(
    runtime: &Runtime,
    onnx: &[u8],
    signature: &Signature,
    threads: usize,
) -> Result<Session, InferenceError> {
    let failed = |problem: String| InferenceError::Load { net: signature.net, problem: one_line(&problem) };
    configure(runtime, signature, threads)
        .map_err(failed)?
        .commit_from_memory(onnx)
        .map_err(|error| failed(error.to_string()))
}

/// Session settings, and why they are what they are.
///
/// - Optimisation level. Fusions decide the order of additions and where a quantised net rounds, so a certified
///   (integer) decoder gave other bits at level 0 and 1 than at level 2: it is pinned to level 2, which brings every
///   quantised fusion. Level 3 adds only CPU-dependent memory layouts: f32 convolutions run 1.7 times as fast with it,
///   and their bits differ between processors anyway. So encoders (whose output is sent, not recomputed) and f32
///   decoders (never certified) run at level 3.
/// - Deterministic kernels, sequential execution: the same run gives the same bits.
/// - No spinning: threads that wait for work must not eat the processor of a service that mostly waits for its link.
/// - No memory pattern: tiles differ in shape, and a pattern is kept for each shape ever seen.
fn configure(runtime: &Runtime, signature: &Signature, threads: usize) -> Result<SessionBuilder, String> {
    let level =
        if signature.bit_exact { GraphOptimizationLevel::Level2 } else { GraphOptimizationLevel::All };
    let builder = Session::builder(runtime.environment()).map_err(|error| error.to_string())?;
    let builder = builder.with_optimization_level(level).map_err(|error| error.to_string())?;
    let builder = builder.with_deterministic_compute(true).map_err(|error| error.to_string())?;
    let builder = builder.with_parallel_execution(false).map_err(|error| error.to_string())?;
    let builder = builder.with_intra_threads(threads).map_err(|error| error.to_string())?;
    let builder = builder.with_inter_threads(1).map_err(|error| error.to_string())?;
    let builder = builder.with_intra_op_spinning(false).map_err(|error| error.to_string())?;
    let builder = builder.with_inter_op_spinning(false).map_err(|error| error.to_string())?;
    builder.with_memory_pattern(false).map_err(|error| error.to_string())
}

fn check_tensors(session: &Session, signature: &Signature) -> Result<(), InferenceError> {
    let Signature { net, .. } = *signature;
    let input = Declared {
        side: "input",
        name: signature.input,
        channels: signature.input_channels,
        element: TensorElementType::Float32,
        fixed: signature.fixed_input,
    };
    let output = Declared {
        side: "output",
        name: signature.output,
        channels: signature.output_channels,
        element: signature.output_type,
        fixed: signature.fixed_output,
    };
    check_tensor(net, session.inputs(), &input)?;
    check_tensor(net, session.outputs(), &output)
}

/// What a net must declare of its input or output.
struct Declared {
    side: &'static str,
    name: &'static str,
    channels: u8,
    element: TensorElementType,
    fixed: Option<u32>,
}

/// Checks what a model declares: one tensor `[1, channels, any height, any width]` of the right name and type; of the
/// one size, or any, where the net takes one size only.
///
/// A dynamic batch is accepted (one picture is run at a time), and so is a dynamic number of output channels, which
/// shape inference may leave open: what really comes out is checked at every run.
fn check_tensor(net: &'static str, tensors: &[Outlet], wanted: &Declared) -> Result<(), InferenceError> {
    let Declared { side, name, element, .. } = *wanted;
    let channels = i64::from(wanted.channels);
    let fixed = wanted.fixed.map(i64::from);
    let sized = |found: i64| found == -1 || Some(found) == fixed;
    let declares = |tensor: &Outlet| match tensor.dtype() {
        ValueType::Tensor { ty, shape, .. } if *ty == element => match shape[..] {
            [1 | -1, found, height, width] if sized(height) && sized(width) => {
                found == channels || (side == "output" && found == -1)
            }
            _ => false,
        },
        ValueType::Tensor { .. }
        | ValueType::Sequence(_)
        | ValueType::Map { .. }
        | ValueType::Optional(_) => false,
    };
    let sound = matches!(tensors, [tensor] if tensor.name() == name && declares(tensor));
    if sound {
        return Ok(());
    }
    let found: Vec<_> =
        tensors.iter().map(|tensor| format!("{} {}", tensor.name(), tensor.dtype())).collect();
    Err(InferenceError::Shape {
        net,
        tensor: side.to_owned(),
        expected: match fixed {
            Some(fixed) => format!("one tensor named {name}, {element}[1, {channels}, {fixed}, {fixed}]"),
            None => format!("one tensor named {name}, {element}[1, {channels}, any height, any width]"),
        },
        found: if found.is_empty() { "nothing".to_owned() } else { found.join("; ") },
    })
}
