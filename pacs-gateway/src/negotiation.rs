//! What is agreed on at the start of an association (PS3.8 section 7.1 and annex D of PS3.7). Pure: a request in, an answer out.

use std::collections::BTreeMap;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason,
    AssociationRJServiceProviderPresentationReason, AssociationRJServiceUserReason, AssociationRJSource,
    AssociationRQ, PresentationContextProposed, PresentationContextResult, PresentationContextResultReason,
    UserVariableItem,
};
use thiserror::Error;

use crate::{
    elements::{self, EXPLICIT_VR_BIG_ENDIAN},
    object::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME},
    titles::Titles,
};

/// The only application context name that there is (PS3.7 annex A).
const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
/// Bit of protocol version 1.
const VERSION_1: u16 = 1;
/// What every storage SOP class begins with, the retired and the latest too (PS3.4 annex B.5, PS3.6).
const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";
/// Ids are odd numbers of one byte, so that there cannot be more.
const MAX_CONTEXTS: usize = 128;

/// Transfer syntaxes that are taken: those that the sender decodes, and those that it only carries as they are. The JPIP and
/// SMPTE ones are missing, since their pixels are elsewhere, and so are the JPEG processes that were retired.
const TRANSFER_SYNTAXES: [&str; 39] = [
    uids::IMPLICIT_VR_LITTLE_ENDIAN,
    uids::EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    uids::RLE_LOSSLESS,
    uids::JPEG_BASELINE8_BIT,
    uids::JPEG_EXTENDED12_BIT,
    uids::JPEG_LOSSLESS,
    uids::JPEG_LOSSLESS_SV1,
    uids::JPEGLS_LOSSLESS,
    uids::JPEGLS_NEAR_LOSSLESS,
    uids::JPEG2000_LOSSLESS,
    uids::JPEG2000,
    // Carried as they are.
    uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN,
    uids::JPEG2000MC_LOSSLESS,
    uids::JPEG2000MC,
    uids::HTJ2K_LOSSLESS,
    uids::HTJ2K_LOSSLESS_RPCL,
    uids::HTJ2K,
    uids::JPEGXL_LOSSLESS,
    uids::JPEGXLJPEG_RECOMPRESSION,
    uids::JPEGXL,
    uids::MPEG2MPML,
    uids::MPEG2MPMLF,
    uids::MPEG2MPHL,
    uids::MPEG2MPHLF,
    uids::MPEG4HP41,
    uids::MPEG4HP41F,
    uids::MPEG4HP41BD,
    uids::MPEG4HP41BDF,
    uids::MPEG4HP422D,
    uids::MPEG4HP422DF,
    uids::MPEG4HP423D,
    uids::MPEG4HP423DF,
    uids::MPEG4HP42STEREO,
    uids::MPEG4HP42STEREOF,
    uids::HEVCMP51,
    uids::HEVCM10P51,
    uids::DEFLATED_IMAGE_FRAME_COMPRESSION,
];

/// What an association may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Accepted presentation contexts by their id.
    pub contexts: BTreeMap<u8, Context>,
    /// Longest PDU that the peer takes, without its header; 0: any.
    pub peer_max_pdu_bytes: u32,
    /// Where what is stored goes.
    pub destination: String,
}

/// An accepted presentation context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// SOP class.
    pub abstract_syntax: String,
    /// How its data sets are written.
    pub transfer_syntax: &'static str,
}

/// Why an association is not accepted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// Another application context.
    #[error("the peer asks for another application context than DICOM's")]
    ApplicationContext,
    /// Nobody here is called so.
    #[error("the called AE title is neither --ae-title nor that of a --route")]
    CalledTitle,
    /// The caller is not on the list.
    #[error("the calling AE title is none of --calling-ae-title")]
    CallingTitle,
    /// More presentation contexts than there are ids.
    #[error("the peer proposes more than 128 presentation contexts")]
    Contexts,
    /// As many associations are open as may be.
    #[error("as many associations are open as --max-associations allows")]
    Limit,
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
    /// No version in common.
    #[error("the peer does not speak version 1 of the upper layer protocol")]
    Version,
}

impl Rejection {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::ApplicationContext,
        Self::CalledTitle,
        Self::CallingTitle,
        Self::Contexts,
        Self::Limit,
        Self::Stopping,
        Self::Version,
    ];

    /// The PDU that says so.
    #[must_use]
    pub fn to_pdu(self) -> AssociationRJ {
        use AssociationRJServiceProviderPresentationReason as Congestion;
        use AssociationRJServiceUserReason as User;
        let (permanent, transient) = (AssociationRJResult::Permanent, AssociationRJResult::Transient);
        let user = AssociationRJSource::ServiceUser;
        let (result, source) = match self {
            Self::ApplicationContext => (permanent, user(User::ApplicationContextNameNotSupported)),
            Self::CalledTitle => (permanent, user(User::CalledAETitleNotRecognized)),
            Self::CallingTitle => (permanent, user(User::CallingAETitleNotRecognized)),
            Self::Contexts => (permanent, user(User::NoReasonGiven)),
            Self::Limit => {
                let limit = Congestion::LocalLimitExceeded;
                (transient, AssociationRJSource::ServiceProviderPresentation(limit))
            }
            Self::Stopping => {
                let congestion = Congestion::TemporaryCongestion;
                (transient, AssociationRJSource::ServiceProviderPresentation(congestion))
            }
            Self::Version => {
                let version = AssociationRJServiceProviderASCEReason::ProtocolVersionNotSupported;
                (permanent, AssociationRJSource::ServiceProviderASCE(version))
            }
        };
        AssociationRJ { result, source }
    }

    /// A stable word for it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::ApplicationContext => "APPLICATION_CONTEXT_NOT_SUPPORTED",
            Self::CalledTitle => "CALLED_AE_TITLE_NOT_RECOGNIZED",
            Self::CallingTitle => "CALLING_AE_TITLE_NOT_RECOGNIZED",
            Self::Contexts => "TOO_MANY_PRESENTATION_CONTEXTS",
            Self::Limit => "LOCAL_LIMIT_EXCEEDED",
            Self::Stopping => "SHUTTING_DOWN",
            Self::Version => "PROTOCOL_VERSION_NOT_SUPPORTED",
        }
    }
}

/// Answers a request: what is agreed on and the PDU that says so. `max_pdu_bytes` is the longest PDU that we take.
///
/// Of several transfer syntaxes for a context the first that is taken is chosen: the peer names its own first, and whatever
/// it is, it travels as it is.
///
/// # Errors
/// [`Rejection`], but for [`Rejection::Limit`] and [`Rejection::Stopping`].
pub fn negotiate(
    request: AssociationRQ,
    titles: &Titles,
    max_pdu_bytes: u32,
) -> Result<(Agreement, AssociationAC), Rejection> {
    if request.protocol_version & VERSION_1 == 0 {
        return Err(Rejection::Version);
    }
    if elements::text(request.application_context_name.as_bytes()) != Some(APPLICATION_CONTEXT) {
        return Err(Rejection::ApplicationContext);
    }
    let destination = titles.destination(&request.called_ae_title).ok_or(Rejection::CalledTitle)?.to_owned();
    if !titles.may_call(&request.calling_ae_title) {
        return Err(Rejection::CallingTitle);
    }
    if request.presentation_contexts.len() > MAX_CONTEXTS {
        return Err(Rejection::Contexts);
    }
    let mut contexts = BTreeMap::new();
    let mut results = Vec::new();
    for proposed in &request.presentation_contexts {
        let context = accept(proposed, contexts.contains_key(&proposed.id));
        let (reason, transfer_syntax) = match &context {
            Ok(context) => (PresentationContextResultReason::Acceptance, context.transfer_syntax),
            // The transfer syntax of a context that is not accepted means nothing, but must be there.
            Err(reason) => (reason.clone(), uids::IMPLICIT_VR_LITTLE_ENDIAN),
        };
        let transfer_syntax = transfer_syntax.to_owned();
        results.push(PresentationContextResult { id: proposed.id, reason, transfer_syntax });
        contexts.extend(context.map(|context| (proposed.id, context)));
    }
    let longest = |item: &UserVariableItem| {
        if let UserVariableItem::MaxLength(bytes) = item { Some(*bytes) } else { None }
    };
    let peer_max_pdu_bytes = request.user_variables.iter().find_map(longest).unwrap_or(0);
    let answer = AssociationAC {
        protocol_version: VERSION_1,
        calling_ae_title: request.calling_ae_title,
        called_ae_title: request.called_ae_title,
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: results,
        user_variables: vec![
            UserVariableItem::MaxLength(max_pdu_bytes),
            UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
            UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()),
        ],
    };
    Ok((Agreement { contexts, peer_max_pdu_bytes, destination }, answer))
}

fn accept(
    proposed: &PresentationContextProposed,
    is_taken: bool,
) -> Result<Context, PresentationContextResultReason> {
    if is_taken || proposed.id.is_multiple_of(2) {
        return Err(PresentationContextResultReason::NoReason);
    }
    let abstract_syntax = elements::uid(proposed.abstract_syntax.as_bytes()).unwrap_or_default();
    let verification = abstract_syntax == uids::VERIFICATION;
    if !verification && !abstract_syntax.starts_with(STORAGE) {
        return Err(PresentationContextResultReason::AbstractSyntaxNotSupported);
    }
    let known = |syntax: &String| {
        let uid = elements::uid(syntax.as_bytes())?;
        TRANSFER_SYNTAXES.into_iter().find(|known| *known == uid)
    };
    let transfer_syntax = proposed.transfer_syntaxes.iter().find_map(known);
    let transfer_syntax =
        transfer_syntax.ok_or(PresentationContextResultReason::TransferSyntaxesNotSupported)?;
    Ok(Context { abstract_syntax: abstract_syntax.to_owned(), transfer_syntax })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
    const JPIP: &str = "1.2.840.10008.1.2.4.94";

    fn titles() -> Titles {
        let title = |text: &str| text.parse().expect("a title");
        let route = "CT=clinic-b".parse().expect("a route");
        Titles::new(&title("GATE"), "", &[route], &[title("CT1")]).expect("no title twice")
    }

    fn request(contexts: &[(u8, &str, &[&str])]) -> AssociationRQ {
        let proposed = |(id, abstract_syntax, syntaxes): &(u8, &str, &[&str])| PresentationContextProposed {
            id: *id,
            abstract_syntax: (*abstract_syntax).to_owned(),
            transfer_syntaxes: syntaxes.iter().map(|&syntax| syntax.to_owned()).collect(),
        };
        AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "CT1".to_owned(),
            called_ae_title: "GATE".to_owned(),
            application_context_name: APPLICATION_CONTEXT.to_owned(),
            presentation_contexts: contexts.iter().map(proposed).collect(),
            user_variables: vec![UserVariableItem::MaxLength(16_384)],
        }
    }

    fn rejection(request: AssociationRQ) -> Rejection {
        negotiate(request, &titles(), 131_072).expect_err("a rejection")
    }

    #[test]
    fn the_first_known_transfer_syntax_of_each_context_is_taken() {
        let jpeg = uids::JPEG_BASELINE8_BIT;
        let request = request(&[
            (1, uids::VERIFICATION, &[uids::IMPLICIT_VR_LITTLE_ENDIAN]),
            (3, CT, &[JPIP, "1.2.3\0", jpeg, uids::IMPLICIT_VR_LITTLE_ENDIAN]),
            (5, CT, &[JPIP]),
            (7, "1.2.840.10008.5.1.4.1.2.2.1", &[uids::IMPLICIT_VR_LITTLE_ENDIAN]),
            (8, CT, &[jpeg]),
            (3, CT, &[uids::RLE_LOSSLESS]),
        ]);
        let (agreement, answer) = negotiate(request, &titles(), 131_072).expect("accepted");
        let reasons: Vec<u8> =
            answer.presentation_contexts.iter().map(|context| context.reason.clone() as u8).collect();
        assert_eq!(reasons, [0, 0, 4, 3, 2, 2]);
        assert_eq!(agreement.contexts.keys().copied().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(agreement.contexts[&3].transfer_syntax, jpeg);
        assert_eq!(agreement.peer_max_pdu_bytes, 16_384);
        assert_eq!(agreement.destination, "");
        assert!(answer.user_variables.contains(&UserVariableItem::MaxLength(131_072)));
    }

    #[test]
    fn a_called_title_chooses_the_destination() {
        let called = AssociationRQ { called_ae_title: "CT".to_owned(), ..request(&[]) };
        let (agreement, _) = negotiate(called, &titles(), 131_072).expect("accepted");
        assert_eq!(agreement.destination, "clinic-b");
    }

    #[test]
    fn a_rejection_says_why() {
        let called = AssociationRQ { called_ae_title: "OTHER".to_owned(), ..request(&[]) };
        assert_eq!(rejection(called), Rejection::CalledTitle);
        let calling = AssociationRQ { calling_ae_title: "CT2".to_owned(), ..request(&[]) };
        assert_eq!(rejection(calling), Rejection::CallingTitle);
        let version = AssociationRQ { protocol_version: 2, ..request(&[]) };
        assert_eq!(rejection(version), Rejection::Version);
        let context = AssociationRQ { application_context_name: "1.2.3".to_owned(), ..request(&[]) };
        assert_eq!(rejection(context), Rejection::ApplicationContext);
        let many = vec![(1, CT, &[uids::RLE_LOSSLESS][..]); MAX_CONTEXTS + 1];
        assert_eq!(rejection(request(&many)), Rejection::Contexts);
        assert_eq!(Rejection::Limit.to_pdu().result, AssociationRJResult::Transient);
        assert_eq!(Rejection::CalledTitle.to_pdu().result, AssociationRJResult::Permanent);
    }
}
