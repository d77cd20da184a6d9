//! What a stranger on the line does to a message: changes, cuts, and appended bytes.

/// Applies a script to `message`; gives it back unchanged where the script says so.
///
/// A script is a row of commands of four bytes: `[kind, place, place, value]`. Kind 0..=191 XORs a byte, 192..=223 cuts there, the rest
/// inserts `value` there. Places count modulo the length.
pub(crate) fn edited(message: &[u8], script: &[u8]) -> Vec<u8> {
    let mut edited = message.to_vec();
    for command in script.chunks_exact(4).take(64) {
        let place = usize::from(u16::from_be_bytes([command[1], command[2]])) % (edited.len() + 1);
        match command[0] {
            0..=191 => {
                if let Some(byte) = edited.get_mut(place) {
                    *byte ^= command[3];
                }
            }
            192..=223 => edited.truncate(place),
            _ => edited.insert(place, command[3]),
        }
    }
    edited
}
