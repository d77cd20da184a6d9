//! Three predefined S-boxes, each published elsewhere and each a bijection. The paper names none.
//!
//! They are computed from their definitions while compiling, so no table was copied, and the compiler refuses a table
//! that is not a bijection.

/// `S_1`: AES SubBytes (FIPS 197, section 5.1.1).
const AES: [u8; 256] = aes();
/// `S_2`: SM4 (GB/T 32907-2016; draft-ribose-cfrg-sm4, section 6.2.1).
const SM4: [u8; 256] = sm4();
/// `S_3`: AES InvSubBytes (FIPS 197, section 5.3.2).
const AES_INVERSE: [u8; 256] = inverted(&AES);

/// The boxes in the order in which key 3 numbers them.
pub(super) const BOXES: [[u8; 256]; 3] = [AES, SM4, AES_INVERSE];
/// Their inverses. `inverted` does not compile on a table that is no bijection.
pub(super) const INVERSES: [[u8; 256]; 3] = [inverted(&AES), inverted(&SM4), inverted(&AES_INVERSE)];

/// AES: inverse in GF(2^8) mod x^8+x^4+x^3+x+1, then an affine map.
const fn aes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut input = 0;
    while input < 256 {
        let b = inverse(input as u8, 0x1b);
        table[input] = b ^ b.rotate_left(1) ^ b.rotate_left(2) ^ b.rotate_left(3) ^ b.rotate_left(4) ^ 0x63;
        input += 1;
    }
    table
}

/// SM4: affine map, inverse in GF(2^8) mod x^8+x^7+x^6+x^5+x^4+x^2+1, the same affine map.
const fn sm4() -> [u8; 256] {
    let mut table = [0; 256];
    let mut input = 0;
    while input < 256 {
        table[input] = sm4_affine(inverse(sm4_affine(input as u8), 0xf5));
        input += 1;
    }
    table
}

/// `A·x ⊕ 0xd3`, where row i of A is 0xd3 rotated right by i.
const fn sm4_affine(x: u8) -> u8 {
    let mut result = 0;
    let mut row = 0;
    while row < 8 {
        let parity = (0xd3_u8.rotate_right(row) & x).count_ones() & 1;
        result |= (parity as u8) << (7 - row);
        row += 1;
    }
    result ^ 0xd3
}

/// `x^254`: the inverse in GF(2^8), with 0 for 0. `polynomial` is without its x^8.
const fn inverse(x: u8, polynomial: u8) -> u8 {
    let mut result = 1;
    let mut factor = 0;
    while factor < 254 {
        result = multiply(result, x, polynomial);
        factor += 1;
    }
    result
}

const fn multiply(mut a: u8, mut b: u8, polynomial: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        let carry = a & 0x80 != 0;
        a <<= 1;
        if carry {
            a ^= polynomial;
        }
        b >>= 1;
    }
    product
}

const fn inverted(table: &[u8; 256]) -> [u8; 256] {
    let mut inverse = [0; 256];
    let mut seen = [false; 256];
    let mut input = 0;
    while input < 256 {
        let output = table[input] as usize;
        assert!(!seen[output], "an S-box must be a bijection");
        seen[output] = true;
        inverse[output] = input as u8;
        input += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_published_ones() {
        assert_eq!(AES[..8], [0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5]);
        assert_eq!((AES[0x53], AES[0xff]), (0xed, 0x16)); // FIPS 197's own example, and the end of its table.
        assert_eq!(AES_INVERSE[..4], [0x52, 0x09, 0x6a, 0xd5]);
        assert_eq!(SM4[..8], [0xd6, 0x90, 0xe9, 0xfe, 0xcc, 0xe1, 0x3d, 0xb7]);
    }

    /// The standard's example encrypts to what the standard prints, so every entry that it touches is right.
    #[test]
    fn sm4_with_this_box_gives_the_standards_example() {
        let tau = |word: u32| u32::from_be_bytes(word.to_be_bytes().map(|b| SM4[usize::from(b)]));
        let block = [0x0123_4567_u32, 0x89ab_cdef, 0xfedc_ba98, 0x7654_3210];
        let family = [0xa3b1_bac6_u32, 0x56aa_3350, 0x677d_9197, 0xb270_22dc];
        let mut key: Vec<u32> = block.iter().zip(family).map(|(k, f)| k ^ f).collect();
        let mut state = block.to_vec();
        for round in 0..32 {
            let constant = u32::from_be_bytes([0, 1, 2, 3].map(|j| ((4 * round + j) * 7 % 256) as u8));
            let b = tau(key[round + 1] ^ key[round + 2] ^ key[round + 3] ^ constant);
            key.push(key[round] ^ b ^ b.rotate_left(13) ^ b.rotate_left(23));
            let b = tau(state[round + 1] ^ state[round + 2] ^ state[round + 3] ^ key[round + 4]);
            let mixed = b ^ b.rotate_left(2) ^ b.rotate_left(10) ^ b.rotate_left(18) ^ b.rotate_left(24);
            state.push(state[round] ^ mixed);
        }
        let cipher: Vec<u32> = state[32..].iter().rev().copied().collect();
        assert_eq!(cipher, [0x681e_df34, 0xd206_965e, 0x86b3_e94f, 0x536e_4246]);
    }

    #[test]
    fn inverses_undo() {
        for (forward, backward) in BOXES.iter().zip(&INVERSES) {
            assert!((0..=255_u8).all(|p| backward[usize::from(forward[usize::from(p)])] == p));
        }
    }
}
