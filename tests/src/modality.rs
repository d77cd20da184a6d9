//! A DICOM modality, as the gateway sees one: an SCU of C-ECHO and C-STORE, and the objects that it has.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use dicom_ul::{
    Pdu,
    association::{ClientAssociation, ClientAssociationOptions, Error},
    pdu::{PDataValue, PDataValueType},
};

use crate::{gateway::AE_TITLE, pictures};

/// How long a modality waits for an answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Verification SOP Class.
pub const VERIFICATION: &str = "1.2.840.10008.1.1";
/// Implicit VR Little Endian.
pub const IMPLICIT_LITTLE: &str = "1.2.840.10008.1.2";
/// Explicit VR Little Endian.
pub const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";
/// RLE Lossless.
pub const RLE: &str = "1.2.840.10008.1.2.5";
/// JPEG Baseline.
pub const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";

const C_STORE_RQ: u16 = 0x0001;
const C_ECHO_RQ: u16 = 0x0030;
const C_CANCEL_RQ: u16 = 0x0fff;
const NO_DATA_SET: u16 = 0x0101;

/// An object that a modality has.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its SOP class.
    pub sop_class: String,
    /// Its SOP Instance UID.
    pub sop_instance: String,
    /// How the data set is written.
    pub transfer_syntax: String,
    /// The data set.
    pub data_set: Vec<u8>,
}

impl Instance {
    /// From a DICOM file.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        Self::parse(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// From the bytes of a DICOM file.
    ///
    /// # Panics
    /// They are none.
    #[must_use]
    pub fn parse(file: &[u8]) -> Self {
        assert_eq!(file.get(128..132), Some(&b"DICM"[..]), "no DICOM file");
        let length = u32::from_le_bytes(file[140..144].try_into().expect("four bytes")) as usize;
        let (meta, data_set) = file.split_at(144 + length);
        let text = |element| {
            let value = pictures::element(meta, (0x0002, element)).expect("file meta information is whole");
            String::from_utf8_lossy(&value).into_owned()
        };
        Self {
            sop_class: text(0x0002),
            sop_instance: text(0x0003),
            transfer_syntax: text(0x0010),
            data_set: data_set.to_vec(),
        }
    }

    /// The same object under another SOP Instance UID.
    ///
    /// # Panics
    /// The other is longer.
    #[must_use]
    pub fn renamed(&self, number: u32) -> Self {
        let kept = self.sop_instance.len() - 6;
        let sop_instance = format!("{}.{number:05}", &self.sop_instance[..kept]);
        let data_set =
            pictures::replaced(&self.data_set, self.sop_instance.as_bytes(), sop_instance.as_bytes());
        Self { sop_instance, data_set, ..self.clone() }
    }

    /// The same object with other pixel data, in fragments of an encapsulated transfer syntax.
    ///
    /// # Panics
    /// It has no pixel data.
    #[must_use]
    pub fn encapsulated(&self, transfer_syntax: &str, frame: &[u8]) -> Self {
        let mut data_set = self.data_set[..self.pixel_data_at()].to_vec();
        data_set.extend(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0");
        let even = frame.len().next_multiple_of(2);
        data_set.extend(u32::try_from(even).expect("a frame of a test is short").to_le_bytes());
        data_set.extend(frame);
        data_set.resize(data_set.len() + even - frame.len(), 0);
        data_set.extend(b"\xfe\xff\xdd\xe0\0\0\0\0");
        Self { transfer_syntax: transfer_syntax.to_owned(), data_set, ..self.clone() }
    }

    /// Where Pixel Data begins.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn pixel_data_at(&self) -> usize {
        let pixels = self.data_set.windows(6).position(|bytes| bytes == b"\xe0\x7f\x10\x00OB");
        let words = || self.data_set.windows(6).position(|bytes| bytes == b"\xe0\x7f\x10\x00OW");
        pixels.or_else(words).expect("the object has pixel data")
    }

    /// The bytes of native pixel data.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.data_set[self.pixel_data_at() + 12..]
    }

    /// Rows and Columns; an Explicit VR Little Endian data set.
    ///
    /// # Panics
    /// It has none.
    #[must_use]
    pub fn with_size(mut self, rows: u16, columns: u16) -> Self {
        for (element, value) in [(0x10, rows), (0x11, columns)] {
            let head = [0x28, 0, element, 0, b'U', b'S', 2, 0];
            let at = self.data_set.windows(8).position(|bytes| bytes == head).expect("the object has a size");
            self.data_set[at + 8..at + 10].copy_from_slice(&value.to_le_bytes());
        }
        self
    }
}

/// One frame of 8-bit grey pixels as RLE Lossless has it (PS3.5 annex G): literal runs alone.
#[must_use]
pub fn rle_frame(pixels: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 64];
    (frame[0], frame[4]) = (1, 64);
    for run in pixels.chunks(128) {
        frame.push(u8::try_from(run.len() - 1).expect("a run has at most 128 bytes"));
        frame.extend(run);
    }
    frame
}

/// Height and width of a baseline JPEG.
///
/// # Panics
/// It is none.
#[must_use]
pub fn jpeg_size(jpeg: &[u8]) -> (u16, u16) {
    let at = jpeg.windows(3).position(|bytes| bytes == b"\xff\xc0\0").expect("a baseline JPEG");
    let number = |at: usize| u16::from_be_bytes([jpeg[at], jpeg[at + 1]]);
    (number(at + 5), number(at + 7))
}

/// What the gateway answered to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Command field.
    pub command: u16,
    /// The message that it answers.
    pub answers: u16,
    /// DIMSE status.
    pub status: u16,
    /// Error Comment, or nothing.
    pub comment: String,
}

/// An association with a gateway.
#[derive(Debug)]
pub struct Modality {
    association: ClientAssociation<std::net::TcpStream>,
    next_message: u16,
}

impl Modality {
    /// Opens an association for echoes and for these objects.
    ///
    /// # Errors
    /// The gateway rejects it, or does not answer.
    pub fn open(gateway: SocketAddr, instances: &[&Instance]) -> Result<Self, Box<Error>> {
        Self::call(gateway, "MODALITY", AE_TITLE, instances)
    }

    /// The same under these AE titles.
    ///
    /// # Errors
    /// The gateway rejects it, or does not answer.
    pub fn call(
        gateway: SocketAddr,
        calling: &str,
        called: &str,
        instances: &[&Instance],
    ) -> Result<Self, Box<Error>> {
        let mut options = ClientAssociationOptions::new()
            .calling_ae_title(calling.to_owned())
            .called_ae_title(called.to_owned())
            .read_timeout(PATIENCE)
            .write_timeout(PATIENCE)
            .with_presentation_context(VERIFICATION, vec![IMPLICIT_LITTLE]);
        for instance in instances {
            options = options.with_presentation_context(
                instance.sop_class.clone(),
                vec![instance.transfer_syntax.clone()],
            );
        }
        let mut association = options.establish(gateway).map_err(Box::new)?;
        association.inner_stream().set_nodelay(true).expect("a connected socket has options");
        Ok(Self { association, next_message: 1 })
    }

    /// C-ECHO: the answer.
    pub fn echo(&mut self) -> Answer {
        let context = self.context(VERIFICATION, IMPLICIT_LITTLE);
        let message = self.message();
        self.command(context, &command(C_ECHO_RQ, message, NO_DATA_SET, &[]));
        self.answer()
    }

    /// C-STORE: the answer.
    pub fn store(&mut self, instance: &Instance) -> Answer {
        self.begin_store(instance);
        self.answer()
    }

    /// Sends a C-STORE request and its data set, without waiting; gives its number.
    pub fn begin_store(&mut self, instance: &Instance) -> u16 {
        let message = self.request_store(instance);
        self.data_set(instance, &instance.data_set, true);
        message
    }

    /// Sends a C-STORE request without its data set; gives its number.
    pub fn request_store(&mut self, instance: &Instance) -> u16 {
        let context = self.context(&instance.sop_class, &instance.transfer_syntax);
        let message = self.message();
        self.command(context, &store_command(message, instance));
        message
    }

    /// Sends a part of a data set.
    ///
    /// # Panics
    /// The connection is lost.
    pub fn data_set(&mut self, instance: &Instance, bytes: &[u8], to_the_end: bool) {
        let context = self.context(&instance.sop_class, &instance.transfer_syntax);
        let most = self.association.acceptor_max_pdu_length() as usize - 12;
        let last = bytes.len().div_ceil(most).max(1) - 1;
        for index in 0..=last {
            let data = bytes[index * most..bytes.len().min((index + 1) * most)].to_vec();
            let is_last = to_the_end && index == last;
            let value_type = PDataValueType::Data;
            let value = PDataValue { presentation_context_id: context, value_type, is_last, data };
            self.send(&Pdu::PData { data: vec![value] });
        }
    }

    /// Sends a C-CANCEL of a message.
    pub fn cancel(&mut self, instance: &Instance, message: u16) {
        let context = self.context(&instance.sop_class, &instance.transfer_syntax);
        self.command(context, &command(C_CANCEL_RQ, message, NO_DATA_SET, &[]));
    }

    /// Sends a request that no gateway serves (C-FIND, without an identifier).
    pub fn find(&mut self) -> Answer {
        let context = self.context(VERIFICATION, IMPLICIT_LITTLE);
        let message = self.message();
        self.command(context, &command(0x0020, message, NO_DATA_SET, &[]));
        self.answer()
    }

    /// The next answer.
    ///
    /// # Panics
    /// The association ended instead.
    pub fn answer(&mut self) -> Answer {
        match self.receive() {
            Ok(Pdu::PData { data }) => read_answer(&data[0].data),
            other => panic!("an answer was due: {other:?}"),
        }
    }

    /// The next PDU.
    ///
    /// # Errors
    /// The connection ended.
    pub fn receive(&mut self) -> Result<Pdu, Box<Error>> {
        self.association.receive().map_err(Box::new)
    }

    /// Releases the association.
    ///
    /// # Panics
    /// The gateway does not answer as it must.
    pub fn release(self) {
        self.association.release().expect("the gateway releases too");
    }

    /// Aborts the association.
    ///
    /// # Panics
    /// The connection is lost already.
    pub fn abort(self) {
        self.association.abort().expect("the gateway can be told");
    }

    fn command(&mut self, context: u8, bytes: &[u8]) {
        let (value_type, data) = (PDataValueType::Command, bytes.to_vec());
        let value = PDataValue { presentation_context_id: context, value_type, is_last: true, data };
        self.send(&Pdu::PData { data: vec![value] });
    }

    fn send(&mut self, pdu: &Pdu) {
        self.association.send(pdu).expect("the gateway listens");
    }

    fn context(&self, sop_class: &str, transfer_syntax: &str) -> u8 {
        let fits = |context: &&dicom_ul::pdu::PresentationContextNegotiated| {
            context.abstract_syntax == sop_class && context.transfer_syntax == transfer_syntax
        };
        let contexts = self.association.presentation_contexts();
        contexts.iter().find(fits).unwrap_or_else(|| panic!("not agreed on: {contexts:?}")).id
    }

    fn message(&mut self) -> u16 {
        self.next_message += 1;
        self.next_message - 1
    }
}

/// The command set of a C-STORE request with this number.
#[must_use]
pub fn store_command(message: u16, instance: &Instance) -> Vec<u8> {
    let uids = [(0x0002, instance.sop_class.as_str()), (0x1000, instance.sop_instance.as_str())];
    command(C_STORE_RQ, message, 0, &uids)
}

/// A command set, Implicit VR Little Endian. A cancel answers the message instead of having a number.
fn command(field: u16, message: u16, data_set: u16, uids: &[(u16, &str)]) -> Vec<u8> {
    let message_element = if field == C_CANCEL_RQ { 0x0120 } else { 0x0110 };
    let numbers = [(0x0100, field), (message_element, message), (0x0700, 0), (0x0800, data_set)];
    let mut elements: Vec<(u16, Vec<u8>)> =
        numbers.into_iter().map(|(element, value)| (element, value.to_le_bytes().to_vec())).collect();
    for (element, uid) in uids {
        let mut value = uid.as_bytes().to_vec();
        value.resize(value.len().next_multiple_of(2), 0);
        elements.push((*element, value));
    }
    elements.sort();
    let mut bytes = Vec::new();
    for (element, value) in elements {
        bytes.extend([0, 0]);
        bytes.extend(element.to_le_bytes());
        bytes.extend(u32::try_from(value.len()).expect("a short value").to_le_bytes());
        bytes.extend(value);
    }
    let length = u32::try_from(bytes.len()).expect("a short command").to_le_bytes();
    [&[0, 0, 0, 0, 4, 0, 0, 0], &length[..], &bytes].concat()
}

fn read_answer(mut bytes: &[u8]) -> Answer {
    let mut answer = Answer { command: 0, answers: 0, status: u16::MAX, comment: String::new() };
    while let Some((head, rest)) = bytes.split_at_checked(8) {
        let length = u32::from_le_bytes(head[4..8].try_into().expect("four bytes")) as usize;
        let (value, following) = rest.split_at(length);
        let number = || u16::from_le_bytes(value.try_into().expect("two bytes"));
        match u16::from_le_bytes([head[2], head[3]]) {
            0x0100 => answer.command = number(),
            0x0120 => answer.answers = number(),
            0x0900 => answer.status = number(),
            0x0902 => answer.comment = String::from_utf8_lossy(value).trim_end().to_owned(),
            _ => {}
        }
        bytes = following;
    }
    answer
}
