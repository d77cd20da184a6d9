//! Fields that both versions of `tables.bin` have.

use super::Tap;
use crate::error::LatentError;
use crate::probability::DistributionStore;

/// Reads one field after another.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], LatentError> {
        let found = self.bytes[self.offset..].first_chunk().copied();
        let found = found.ok_or_else(|| self.error("it ends too early"))?;
        self.offset += N;
        Ok(found)
    }

    pub(super) fn u8(&mut self) -> Result<u8, LatentError> {
        Ok(self.take::<1>()?[0])
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> LatentError {
        LatentError::Tables { problem: problem.into(), offset: self.offset }
    }

    pub(super) fn finish(self) -> Result<(), LatentError> {
        if self.offset == self.bytes.len() {
            return Ok(());
        }
        Err(self.error("bytes are left over after its last table"))
    }

    /// `u16 n, n x { u8 channel  i8 dy  i8 dx  u32 or i32 weight }`: causal, none twice, at most `reach` away.
    pub(super) fn taps<W>(
        &mut self,
        channel: u8,
        reach: i8,
        weight: fn([u8; 4]) -> W,
    ) -> Result<Vec<Tap<W>>, LatentError> {
        let count = u16::from_le_bytes(self.take()?);
        let mut taps = Vec::<Tap<W>>::new();
        for _ in 0..count {
            let [of, dy, dx] = self.take()?;
            let (dy, dx) = (dy as i8, dx as i8);
            let within = (-reach..=reach).contains(&dy) && (-reach..=reach).contains(&dx);
            let causal = of < channel || (of == channel && (dy < 0 || (dy == 0 && dx < 0)));
            if !within || !causal {
                return Err(self.error(format!(
                    "channel {channel} looks at channel {of}, row {dy:+}, column {dx:+}: only what is already \
                     decoded, at most {reach} rows and columns away, may be looked at"
                )));
            }
            if taps.iter().any(|tap| (tap.channel, tap.dy, tap.dx) == (of, dy, dx)) {
                return Err(self.error(format!("channel {channel} looks twice at the same neighbour")));
            }
            taps.push(Tap { channel: of, dy, dx, weight: weight(self.take()?) });
        }
        Ok(taps)
    }

    /// `count x { u16 radius 0..=255   (2 radius + 2) x u16 probability - 1, summing to 2^16 }`
    pub(super) fn distributions(
        &mut self,
        count: usize,
        into: &mut DistributionStore,
    ) -> Result<(), LatentError> {
        for _ in 0..count {
            let radius = u16::from_le_bytes(self.take()?);
            if radius > 255 {
                return Err(self.error(format!("a table's radius is {radius}, 0 to 255 expected")));
            }
            let probabilities = (0..2 * radius + 2)
                .map(|_| self.take().map(|bytes| u32::from(u16::from_le_bytes(bytes)) + 1))
                .collect::<Result<Vec<_>, _>>()?;
            if !into.push(&probabilities) {
                return Err(self.error("a table's probabilities do not sum to 65536"));
            }
        }
        Ok(())
    }
}
