//! Refuses ONNX files that reach outside themselves.
//!
//! ONNX Runtime follows `external_data` paths while it loads a model, and looks up operators of any domain. A pinned
//! model needs neither, so both are refused before the runtime sees the file. The walk reads the protobuf wire format
//! (<https://protobuf.dev/programming-guides/encoding/>) by hand, bounded in depth, and linear in time; it knows the
//! fields of `onnx.proto3` that lead to tensors and operators:
//!
//! ```text
//! ModelProto     graph 7  opset_import 8 { domain 1 }  training_info 20  functions 25
//! GraphProto     node 1  initializer 5  sparse_initializer 15
//! NodeProto      attribute 5  domain 7
//! AttributeProto t 5  g 6  tensors 10  graphs 11  sparse_tensor 22  sparse_tensors 23
//! TensorProto    external_data 13  data_location 14
//! ```

use crate::error::{ModelError, excerpt};

/// Refuses an ONNX file that reads other files, asks for operators outside the ONNX standard, brings functions or
/// training graphs, or cannot be read.
///
/// The only operators allowed are those of the standard domain (`""` or `ai.onnx`): the quantised nets are written
/// with `QuantizeLinear`, `DequantizeLinear` and `QLinearConv`, which are standard. The domain `com.microsoft` may be
/// imported, as ONNX Runtime's own quantiser does to every file, but none of its operators may be used.
///
/// # Errors
/// [`ModelError::OnnxMalformed`] when the bytes are not a readable ONNX protobuf, [`ModelError::OnnxRefused`] when the
/// model asks for what it must not.
pub fn refuse_external_data(onnx: &[u8]) -> Result<(), ModelError> {
    let mut graphs = 0;
    for entry in Fields::new(onnx, 0) {
        let field = entry?;
        match field.number {
            7 => {
                graphs += 1;
                check_graph(field.message()?, MAX_DEPTH)?;
            }
            8 => check_opset(field.message()?)?,
            20 => return refused("brings training graphs"),
            25 => return refused("brings functions of its own"),
            _ => {}
        }
    }
    match graphs {
        1 => Ok(()),
        0 => Err(ModelError::OnnxMalformed { problem: "it holds no graph", offset: onnx.len() }),
        _ => Err(ModelError::OnnxMalformed { problem: "it holds more than one graph", offset: onnx.len() }),
    }
}

/// Graphs within graphs (`If`, `Loop`) that are followed; sound models have none or one.
const MAX_DEPTH: u32 = 16;

fn check_opset(message: Message<'_>) -> Result<(), ModelError> {
    for entry in message.fields() {
        let field = entry?;
        if field.number == 1 {
            match field.text()? {
                "com.microsoft" => {}
                domain => check_domain(domain)?,
            }
        }
    }
    Ok(())
}

fn check_domain(domain: &str) -> Result<(), ModelError> {
    match domain {
        "" | "ai.onnx" => Ok(()),
        _ => refused(format!("asks for operators of the domain {:?}", excerpt(domain))),
    }
}

fn check_graph(graph: Message<'_>, depth: u32) -> Result<(), ModelError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(ModelError::OnnxMalformed {
            problem: "graphs are nested too deeply",
            offset: graph.offset,
        });
    };
    for entry in graph.fields() {
        let field = entry?;
        match field.number {
            1 => check_node(field.message()?, depth)?,
            5 => check_tensor(field.message()?)?,
            15 => check_sparse_tensor(field.message()?)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_node(node: Message<'_>, depth: u32) -> Result<(), ModelError> {
    for entry in node.fields() {
        let field = entry?;
        match field.number {
            5 => check_attribute(field.message()?, depth)?,
            7 => check_domain(field.text()?)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_attribute(attribute: Message<'_>, depth: u32) -> Result<(), ModelError> {
    for entry in attribute.fields() {
        let field = entry?;
        match field.number {
            5 | 10 => check_tensor(field.message()?)?,
            6 | 11 => check_graph(field.message()?, depth)?,
            22 | 23 => check_sparse_tensor(field.message()?)?,
            _ => {}
        }
    }
    Ok(())
}

/// `SparseTensorProto`: values 1, indices 2, both tensors.
fn check_sparse_tensor(sparse: Message<'_>) -> Result<(), ModelError> {
    for entry in sparse.fields() {
        let field = entry?;
        if let 1 | 2 = field.number {
            check_tensor(field.message()?)?;
        }
    }
    Ok(())
}

fn check_tensor(tensor: Message<'_>) -> Result<(), ModelError> {
    for entry in tensor.fields() {
        let field = entry?;
        match field.number {
            13 => return refused("keeps weights in other files (external_data)"),
            14 if field.integer()? != 0 => return refused("keeps weights in other files (data_location)"),
            _ => {}
        }
    }
    Ok(())
}

fn refused(problem: impl Into<String>) -> Result<(), ModelError> {
    Err(ModelError::OnnxRefused { problem: problem.into() })
}

/// A length-delimited field's bytes, and where they stand in the file.
#[derive(Clone, Copy)]
struct Message<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Message<'a> {
    fn fields(self) -> Fields<'a> {
        Fields::new(self.bytes, self.offset)
    }
}

/// One field of a message.
struct Field<'a> {
    number: u64,
    value: Value<'a>,
    offset: usize,
}

enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire types 1 and 5: fixed 64 and 32 bits, which no field of interest has.
    Fixed,
}

impl<'a> Field<'a> {
    fn message(&self) -> Result<Message<'a>, ModelError> {
        match self.value {
            Value::Bytes(bytes) => Ok(Message { bytes, offset: self.offset }),
            Value::Varint(_) | Value::Fixed => {
                Err(malformed("a message is not length-delimited", self.offset))
            }
        }
    }

    fn text(&self) -> Result<&'a str, ModelError> {
        std::str::from_utf8(self.message()?.bytes).map_err(|_| malformed("a name is not UTF-8", self.offset))
    }

    fn integer(&self) -> Result<u64, ModelError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            Value::Bytes(_) | Value::Fixed => Err(malformed("an enumeration is not a varint", self.offset)),
        }
    }
}

/// The fields of a message, in order; after an error there are no more.
struct Fields<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { rest: bytes, offset }
    }

    fn read(&mut self) -> Result<Field<'a>, ModelError> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > (1 << 29) - 1 {
            return Err(malformed("a field number is out of range", self.offset));
        }
        let (value, offset) = match tag & 7 {
            0 => (Value::Varint(self.varint()?), self.offset),
            1 => self.skip(8)?,
            2 => {
                let length = self.varint()?;
                let offset = self.offset;
                (Value::Bytes(self.take(length)?), offset)
            }
            5 => self.skip(4)?,
            _ => return Err(malformed("a wire type is unknown or a deprecated group", self.offset)),
        };
        Ok(Field { number, value, offset })
    }

    fn skip(&mut self, length: u64) -> Result<(Value<'a>, usize), ModelError> {
        self.take(length)?;
        Ok((Value::Fixed, self.offset))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], ModelError> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((taken, rest)) = split else {
            return Err(malformed("a field is longer than what holds it", self.offset));
        };
        self.rest = rest;
        self.offset += taken.len();
        Ok(taken)
    }

    /// Base-128 varint of at most ten bytes.
    fn varint(&mut self) -> Result<u64, ModelError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let &[byte] = self.take(1)? else {
                return Err(malformed("a number ends too early", self.offset));
            };
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                return Err(malformed("a number has more than 64 bits", self.offset));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed("a number has more than ten bytes", self.offset))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, ModelError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

fn malformed(problem: &'static str, offset: usize) -> ModelError {
    ModelError::OnnxMalformed { problem, offset }
}
