//! Between planes (our tensors) and interleaved samples (most files).

/// Splits interleaved samples into planes: the first `channels` of every `stride` samples, one plane after another.
pub(crate) fn split<T: Copy + Into<i32>>(interleaved: &[T], stride: usize, channels: usize) -> Vec<i32> {
    let area = interleaved.len() / stride;
    let mut planes = Vec::with_capacity(area * channels);
    for channel in 0..channels {
        planes.extend(interleaved.chunks_exact(stride).map(|pixel| pixel[channel].into()));
    }
    planes
}

/// Interleaves the planes of one frame.
pub(crate) fn interleave(frame: &[i32], channels: usize) -> impl Iterator<Item = i32> {
    let area = frame.len() / channels;
    (0..area).flat_map(move |pixel| (0..channels).map(move |channel| frame[channel * area + pixel]))
}

/// 16-bit words from bytes in the given order; an odd last byte is left out.
pub(crate) fn words(bytes: &[u8], word: fn([u8; 2]) -> u16) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| word([pair[0], pair[1]])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_and_interleaving_are_inverse() {
        let interleaved: Vec<u8> = (0..12).collect();
        let planes = split(&interleaved, 3, 3);
        assert_eq!(planes, [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
        assert!(interleave(&planes, 3).eq(0..12));
        assert_eq!(split(&interleaved, 4, 3), [0, 4, 8, 1, 5, 9, 2, 6, 10]);
    }
}
