//! What names the patient and the study, for an audit log.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::data_set::DataSet;
use super::file::DicomFile;
use crate::{Identity, Limits};

/// Reads the identifiers; `None` where the file is no DICOM file that can be parsed.
pub(crate) fn identity(bytes: &[u8], limits: &Limits) -> Option<Identity> {
    let file = DicomFile::open(bytes, limits).ok()?;
    let data_set = DataSet::parse(&file.data_set, file.encoding).ok()?;
    let text = |tag| text(&data_set, tag);
    Some(Identity {
        patient_id: text(tags::PATIENT_ID),
        patient_name: text(tags::PATIENT_NAME),
        accession_number: text(tags::ACCESSION_NUMBER),
        study_instance_uid: text(tags::STUDY_INSTANCE_UID),
        series_instance_uid: text(tags::SERIES_INSTANCE_UID),
        sop_class_uid: text(tags::SOP_CLASS_UID),
        sop_instance_uid: text(tags::SOP_INSTANCE_UID),
    })
}

/// UTF-8 as it is, other character sets byte by byte as ISO 8859-1: nothing is lost, and Latin names read right.
fn text(data_set: &DataSet<'_>, tag: Tag) -> Option<String> {
    let bytes = data_set.bytes(tag)?;
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    };
    let text = text.trim_matches([' ', '\0']);
    (!text.is_empty()).then(|| text.to_owned())
}
