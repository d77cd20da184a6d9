//! Command sets of the DIMSE services that are spoken here (PS3.7 section 9.3 and annex E): C-ECHO, C-STORE, C-CANCEL.

use bytes::Bytes;
use dicom_core::{Tag, VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, mem::InMemElement};
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use thiserror::Error;

use crate::elements::{self, Encoding};

/// Longest command set that is read, bytes; ours and those of others have some hundreds.
pub const MAX_COMMAND_BYTES: usize = 16 << 10;

const C_STORE_RQ: u16 = 0x0001;
const C_ECHO_RQ: u16 = 0x0030;
const C_CANCEL_RQ: u16 = 0x0fff;
/// Set in the command field of every response.
const RESPONSE: u16 = 0x8000;
/// Command Data Set Type of a message without a data set.
const NO_DATA_SET: u16 = 0x0101;
/// Priority HIGH.
const PRIORITY_HIGH: u16 = 0x0001;

/// What a peer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Whether we are there.
    Echo {
        /// Its number.
        message_id: u16,
    },
    /// To store the data set that follows.
    Store(StoreRequest),
    /// To give a request up.
    Cancel {
        /// The request's number.
        responded_to: u16,
    },
    /// Something that is not done here.
    Other {
        /// Command field.
        command: u16,
        /// Its number.
        message_id: u16,
        /// Whether a data set follows.
        has_data_set: bool,
    },
}

/// A C-STORE request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRequest {
    /// Its number.
    pub message_id: u16,
    /// Affected SOP Class UID; empty if it is not written as a UID is.
    pub sop_class: String,
    /// Affected SOP Instance UID; empty if it is not written as a UID is.
    pub sop_instance: String,
    /// Whether its priority is HIGH.
    pub high_priority: bool,
}

/// Why bytes are no command set of a request. Nothing of their content is in it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// An element that must be there is missing, or is written otherwise than it must be.
    #[error("the command set lacks a sound {0}")]
    Missing(&'static str),
    /// Not a command set.
    #[error("the bytes are no command set")]
    Malformed,
    /// A response, where nothing was asked.
    #[error("a response came where nothing was asked")]
    Response,
    /// A C-STORE request that no data set follows.
    #[error("nothing is to be stored")]
    NothingToStore,
}

impl Request {
    /// Reads a command set, Implicit VR Little Endian.
    ///
    /// # Errors
    /// [`CommandError`] for bytes that are none.
    pub fn parse(bytes: Bytes) -> Result<Self, CommandError> {
        let [sop_class, command, message_id, responded_to, priority, data_set, sop_instance] =
            elements::find(
                &[bytes],
                Encoding::ImplicitLittle,
                [
                    tags::AFFECTED_SOP_CLASS_UID,
                    tags::COMMAND_FIELD,
                    tags::MESSAGE_ID,
                    tags::MESSAGE_ID_BEING_RESPONDED_TO,
                    tags::PRIORITY,
                    tags::COMMAND_DATA_SET_TYPE,
                    tags::AFFECTED_SOP_INSTANCE_UID,
                ],
            )
            .map_err(|_| CommandError::Malformed)?;
        let command = number(command, "Command Field")?;
        if command == C_CANCEL_RQ {
            let responded_to = number(responded_to, "Message ID Being Responded To")?;
            return Ok(Self::Cancel { responded_to });
        }
        if command & RESPONSE != 0 {
            return Err(CommandError::Response);
        }
        let message_id = number(message_id, "Message ID")?;
        let has_data_set = number(data_set, "Command Data Set Type")? != NO_DATA_SET;
        match command {
            C_ECHO_RQ if !has_data_set => Ok(Self::Echo { message_id }),
            C_STORE_RQ if !has_data_set => Err(CommandError::NothingToStore),
            C_STORE_RQ => Ok(Self::Store(StoreRequest {
                message_id,
                sop_class: uid(sop_class, "Affected SOP Class UID")?,
                sop_instance: uid(sop_instance, "Affected SOP Instance UID")?,
                high_priority: number(priority, "Priority").is_ok_and(|priority| priority == PRIORITY_HIGH),
            })),
            _ => Ok(Self::Other { command, message_id, has_data_set }),
        }
    }
}

fn number(value: Option<Vec<u8>>, name: &'static str) -> Result<u16, CommandError> {
    let bytes = value.and_then(|value| <[u8; 2]>::try_from(value).ok());
    bytes.map(u16::from_le_bytes).ok_or(CommandError::Missing(name))
}

fn uid(value: Option<Vec<u8>>, name: &'static str) -> Result<String, CommandError> {
    let value = value.ok_or(CommandError::Missing(name))?;
    Ok(elements::uid(&value).unwrap_or_default().to_owned())
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    command: u16,
    message_id: u16,
    sop: Option<(&'a str, &'a str)>,
    status: u16,
    comment: &'a str,
}

impl<'a> Response<'a> {
    /// To a C-ECHO request.
    #[must_use]
    pub fn echo(message_id: u16) -> Self {
        let sop = Some((dicom_dictionary_std::uids::VERIFICATION, ""));
        Self { command: C_ECHO_RQ, message_id, sop, status: 0, comment: "" }
    }

    /// To a C-STORE request: its status and, unless it is success, a comment of at most 64 characters.
    #[must_use]
    pub fn store(request: &'a StoreRequest, status: u16, comment: &'a str) -> Self {
        let sop = Some((request.sop_class.as_str(), request.sop_instance.as_str()));
        Self { command: C_STORE_RQ, message_id: request.message_id, sop, status, comment }
    }

    /// To any other request.
    #[must_use]
    pub fn other(command: u16, message_id: u16, status: u16, comment: &'a str) -> Self {
        Self { command, message_id, sop: None, status, comment }
    }

    /// Its command set, Implicit VR Little Endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let number = |tag, value: u16| InMemElement::new(tag, VR::US, dicom_value!(U16, [value]));
        let text = |tag: Tag, vr, value: &str| {
            (!value.is_empty()).then(|| InMemElement::new(tag, vr, dicom_value!(Str, value)))
        };
        let (sop_class, sop_instance) = self.sop.unwrap_or_default();
        let mut elements = vec![
            number(tags::COMMAND_FIELD, self.command | RESPONSE),
            number(tags::MESSAGE_ID_BEING_RESPONDED_TO, self.message_id),
            number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET),
            number(tags::STATUS, self.status),
        ];
        elements.extend(text(tags::AFFECTED_SOP_CLASS_UID, VR::UI, sop_class));
        elements.extend(text(tags::AFFECTED_SOP_INSTANCE_UID, VR::UI, sop_instance));
        elements.extend(text(tags::ERROR_COMMENT, VR::LO, self.comment));
        let mut bytes = Vec::new();
        InMemDicomObject::command_from_element_iter(elements)
            .write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
            .expect("numbers and ASCII texts can be written to memory");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

    fn number(tag: Tag, value: u16) -> InMemElement {
        InMemElement::new(tag, VR::US, dicom_value!(U16, [value]))
    }

    fn command(elements: Vec<InMemElement>) -> Bytes {
        let mut bytes = Vec::new();
        InMemDicomObject::command_from_element_iter(elements)
            .write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
            .expect("memory");
        bytes.into()
    }

    fn store(sop_instance: &str) -> Vec<InMemElement> {
        vec![
            InMemElement::new(tags::AFFECTED_SOP_CLASS_UID, VR::UI, dicom_value!(Str, CT)),
            number(tags::COMMAND_FIELD, C_STORE_RQ),
            number(tags::MESSAGE_ID, 7),
            number(tags::PRIORITY, PRIORITY_HIGH),
            number(tags::COMMAND_DATA_SET_TYPE, 0),
            InMemElement::new(tags::AFFECTED_SOP_INSTANCE_UID, VR::UI, dicom_value!(Str, sop_instance)),
        ]
    }

    fn request() -> StoreRequest {
        let (sop_class, sop_instance) = (CT.to_owned(), "1.2.3".to_owned());
        StoreRequest { message_id: 7, sop_class, sop_instance, high_priority: true }
    }

    #[test]
    fn a_store_request_is_read() {
        assert_eq!(Request::parse(command(store("1.2.3"))), Ok(Request::Store(request())));
    }

    #[test]
    fn a_uid_that_is_none_is_not_kept() {
        let unnamed = StoreRequest { sop_instance: String::new(), ..request() };
        assert_eq!(Request::parse(command(store("DOE^JOHN"))), Ok(Request::Store(unnamed)));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut elements = store("1.2.3");
        elements.retain(|element| element.header().tag != tags::AFFECTED_SOP_INSTANCE_UID);
        assert_eq!(
            Request::parse(command(elements)),
            Err(CommandError::Missing("Affected SOP Instance UID"))
        );
        let mut elements = store("1.2.3");
        elements.retain(|element| element.header().tag != tags::MESSAGE_ID);
        assert_eq!(Request::parse(command(elements)), Err(CommandError::Missing("Message ID")));
        let mut elements = store("1.2.3");
        elements[4] = number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET);
        assert_eq!(Request::parse(command(elements)), Err(CommandError::NothingToStore));
        assert_eq!(Request::parse(Bytes::new()), Err(CommandError::Missing("Command Field")));
        assert_eq!(Request::parse(Bytes::from_static(b"\0\0\0\x01\x02")), Err(CommandError::Malformed));
    }

    #[test]
    fn other_requests_are_told_apart() {
        let of = |command_field, data_set| {
            Request::parse(command(vec![
                number(tags::COMMAND_FIELD, command_field),
                number(tags::MESSAGE_ID, 3),
                number(tags::MESSAGE_ID_BEING_RESPONDED_TO, 2),
                number(tags::COMMAND_DATA_SET_TYPE, data_set),
            ]))
        };
        assert_eq!(of(C_ECHO_RQ, NO_DATA_SET), Ok(Request::Echo { message_id: 3 }));
        assert_eq!(of(C_CANCEL_RQ, NO_DATA_SET), Ok(Request::Cancel { responded_to: 2 }));
        let find = Request::Other { command: 0x20, message_id: 3, has_data_set: true };
        assert_eq!(of(0x20, 1), Ok(find));
        assert_eq!(of(C_STORE_RQ | RESPONSE, NO_DATA_SET), Err(CommandError::Response));
    }

    #[test]
    fn a_response_says_what_it_answers() {
        let comment = "PEER_UNAVAILABLE: try again later";
        let bytes = Bytes::from(Response::store(&request(), 0xa700, comment).to_bytes());
        let [length, sop_class, field, answered, data_set, status, said, sop_instance] = elements::find(
            std::slice::from_ref(&bytes),
            Encoding::ImplicitLittle,
            [
                tags::COMMAND_GROUP_LENGTH,
                tags::AFFECTED_SOP_CLASS_UID,
                tags::COMMAND_FIELD,
                tags::MESSAGE_ID_BEING_RESPONDED_TO,
                tags::COMMAND_DATA_SET_TYPE,
                tags::STATUS,
                tags::ERROR_COMMENT,
                tags::AFFECTED_SOP_INSTANCE_UID,
            ],
        )
        .expect("a command set")
        .map(Option::unwrap_or_default);
        assert_eq!(length, u32::try_from(bytes.len() - 12).expect("short").to_le_bytes());
        assert_eq!(elements::uid(&sop_class), Some(CT));
        assert_eq!(elements::uid(&sop_instance), Some("1.2.3"));
        assert_eq!((field, answered), (vec![0x01, 0x80], vec![7, 0]));
        assert_eq!((data_set, status), (vec![0x01, 0x01], vec![0x00, 0xa7]));
        assert_eq!(elements::text(&said), Some(comment));
    }

    proptest! {
        #[test]
        fn no_bytes_end_in_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::parse(bytes.into());
        }
    }
}
