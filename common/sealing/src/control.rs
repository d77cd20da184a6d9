//! Control messages: Noise transport messages, strictly in order, each of a stated kind.

use std::sync::Arc;

use snow::StatelessTransportState;
use zeroize::Zeroizing;

use crate::error::CryptoError;

/// Most plaintext bytes of a control message: Noise's 65,535 less the tag and the kind byte.
pub const MAX_CONTROL_BYTES: usize = 65_535 - 16 - 1;

/// What a control message is; its code is the first plaintext byte, so that a frame's label cannot be swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ControlKind {
    /// Step 3.
    Open = 1,
    /// Step 5.
    OpenAck = 2,
    /// Step 8.
    NeedExact = 3,
    /// Step 9.
    Receipt = 4,
}

/// Seals the control messages of one direction, in order.
pub struct ControlSealer {
    transport: Arc<StatelessTransportState>,
    position: u64,
}

impl ControlSealer {
    /// Seals `u8(kind) ‖ plaintext` as the next Noise transport message of this direction.
    ///
    /// Messages must go onto the stream in the order in which they were sealed.
    ///
    /// # Errors
    /// [`CryptoError::ControlTooLong`].
    pub fn seal(&mut self, kind: ControlKind, plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if plaintext.len() > MAX_CONTROL_BYTES {
            return Err(CryptoError::ControlTooLong { found: plaintext.len(), limit: MAX_CONTROL_BYTES });
        }
        let mut framed = Zeroizing::new(Vec::with_capacity(1 + plaintext.len()));
        framed.push(kind as u8);
        framed.extend_from_slice(plaintext);
        let mut message = vec![0_u8; framed.len() + 16];
        self.transport
            .write_message(self.position, &framed, &mut message)
            .map_err(|_| CryptoError::ControlAuthentication { position: self.position })?;
        self.position += 1;
        Ok(message)
    }
}

/// Opens the control messages of the other direction, in order.
pub struct ControlOpener {
    transport: Arc<StatelessTransportState>,
    position: u64,
}

impl ControlOpener {
    /// Opens the next Noise transport message of the peer, which must be of the stated kind.
    ///
    /// # Errors
    /// [`CryptoError::ControlAuthentication`] for changed, repeated, dropped or reordered messages;
    /// [`CryptoError::ControlKind`] where the frame's label was swapped. Either ends the session.
    pub fn open(&mut self, kind: ControlKind, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let position = self.position;
        if message.len() < 17 || message.len() > 65_535 {
            return Err(CryptoError::ControlAuthentication { position });
        }
        let mut plaintext = Zeroizing::new(vec![0_u8; message.len() - 16]);
        self.transport
            .read_message(position, message, &mut plaintext)
            .map_err(|_| CryptoError::ControlAuthentication { position })?;
        self.position += 1;
        if plaintext.first() != Some(&(kind as u8)) {
            return Err(CryptoError::ControlKind { position });
        }
        plaintext.remove(0);
        Ok(plaintext)
    }
}

pub(crate) fn control_channel(transport: StatelessTransportState) -> (ControlSealer, ControlOpener) {
    let transport = Arc::new(transport);
    (
        ControlSealer { transport: Arc::clone(&transport), position: 0 },
        ControlOpener { transport, position: 0 },
    )
}
