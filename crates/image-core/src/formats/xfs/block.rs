//! A piece of metadata: numbers at offsets, and a checksum over all of it.

/// Metadata being made. All fields are big-endian.
#[derive(Clone, Debug)]
pub(super) struct Block(Vec<u8>);

impl Block {
    /// `len` zero bytes.
    pub(super) fn new(len: usize) -> Self {
        Self(vec![0; len])
    }

    pub(super) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Writes the low `N` bytes of `value`.
    pub(super) fn set<const N: usize>(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_be_bytes()[8 - N..]);
    }

    /// Writes the checksum at `at`, over everything with that field as zeros.
    pub(super) fn seal(mut self, at: usize) -> Vec<u8> {
        let sum = checksum(&self.0, at);
        self.put(at, &sum);
        self.0
    }

    /// The bytes, without a checksum.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Metadata as it was found. What lies past its end reads as zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a>(pub(super) &'a [u8]);

impl<'a> View<'a> {
    /// `len` bytes; none if not all of them are there.
    pub(super) fn bytes(self, at: usize, len: usize) -> Option<&'a [u8]> {
        self.0.get(at..at.checked_add(len)?)
    }

    /// The number in the `N` bytes at `at`.
    pub(super) fn get<const N: usize>(self, at: usize) -> u64 {
        let bytes = self.bytes(at, N).unwrap_or(&[]);
        bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte))
    }

    /// Whether the checksum at `at` is right.
    pub(super) fn is_sealed(self, at: usize) -> bool {
        self.bytes(at, 4).is_some_and(|found| found == checksum(self.0, at))
    }
}

/// The CRC-32C of `bytes` with the four at `at` as zeros, as it is stored.
pub(super) fn checksum(bytes: &[u8], at: usize) -> [u8; 4] {
    let sum = crc(!0, &bytes[..at]);
    let sum = crc(sum, &[0; 4]);
    (!crc(sum, &bytes[at + 4..])).to_le_bytes()
}

/// Castagnoli's polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let mut sum = byte;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        table[byte as usize] = sum;
        byte += 1;
    }
    table
};

fn crc(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, &byte| {
        let [low, ..] = sum.to_le_bytes();
        sum >> 8 ^ TABLE[usize::from(low ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        // The check value of CRC-32C.
        assert_eq!(!crc(!0, b"123456789"), 0xe306_9283);
        let mut block = Block::new(12);
        block.set::<4>(0, 0x1_5846_5342);
        let sealed = block.seal(8);
        assert_eq!(sealed[..4], *b"XFSB");
        assert!(View(&sealed).is_sealed(8));
        assert_eq!((View(&sealed).get::<2>(2), View(&sealed).get::<8>(9)), (0x5342, 0));
    }
}
