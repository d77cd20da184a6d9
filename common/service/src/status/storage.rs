//! What the receiver's storage fails with.

use latentwire_storage::StorageError;
use tonic::Code;

use super::{Classified, RequestError, internal, reason, request, request_id};

pub(super) fn classify(error: &StorageError) -> Classified {
    match error {
        StorageError::NoSpace => request::classify(&RequestError::StorageFull),
        StorageError::NotFound => request::classify(&RequestError::ImageNotFound),
        StorageError::Damaged(_) => {
            let id = request_id();
            tracing::error!(request_id = id, %error, "a stored object is damaged");
            let text = "the stored image is damaged and is not given out; the service's log says more";
            let mut damaged = Classified::new(Code::DataLoss, reason::STORED_OBJECT_DAMAGED, &text);
            damaged.details.set_request_info(id, "");
            damaged
        }
        StorageError::Duplicate => {
            let mut conflict = Classified::new(Code::AlreadyExists, reason::TRANSFER_CONFLICT, error);
            conflict.details.set_resource_info("transfer", "", "", "stored already");
            conflict
        }
        StorageError::Catalogue(_)
        | StorageError::Io { .. }
        | StorageError::KeysUnavailable { .. }
        | StorageError::LogInUse
        | StorageError::Locked { .. }
        | StorageError::TooNew { .. }
        | StorageError::WrongKey { .. } => internal(error),
        _ => internal(error),
    }
}
