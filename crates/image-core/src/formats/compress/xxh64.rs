//! XXH64 with seed 0, whose low half ends a Zstandard frame (RFC 8878 section 3.1.1;
//! xxHash fast digest algorithm, version 0.1.1).

const PRIMES: [u64; 5] = [
    0x9e37_79b1_85eb_ca87,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
    0x85eb_ca77_c2b2_ae63,
    0x27d4_eb2f_1656_67c5,
];

/// Hashes what it is given piece by piece.
pub(super) struct Xxh64 {
    lanes: [u64; 4],
    /// Bytes that do not fill a stripe yet.
    pending: Vec<u8>,
    len: u64,
}

impl Xxh64 {
    pub(super) fn new() -> Self {
        let [p1, p2, ..] = PRIMES;
        let lanes = [p1.wrapping_add(p2), p2, 0, 0u64.wrapping_sub(p1)];
        Self { lanes, pending: Vec::with_capacity(32), len: 0 }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        if !self.pending.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(32 - self.pending.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() < 32 {
                return;
            }
            stripe(&mut self.lanes, &self.pending);
            self.pending.clear();
        }
        let stripes = bytes.chunks_exact(32);
        self.pending.extend_from_slice(stripes.remainder());
        stripes.for_each(|bytes| stripe(&mut self.lanes, bytes));
    }

    pub(super) fn finish(&self) -> u64 {
        let [p1, p2, p3, p4, p5] = PRIMES;
        let mut hash = p5;
        if self.len >= 32 {
            let [a, b, c, d] = self.lanes;
            hash = a.rotate_left(1).wrapping_add(b.rotate_left(7));
            hash = hash.wrapping_add(c.rotate_left(12)).wrapping_add(d.rotate_left(18));
            for lane in self.lanes {
                hash = (hash ^ round(0, lane)).wrapping_mul(p1).wrapping_add(p4);
            }
        }
        hash = hash.wrapping_add(self.len);
        let words = self.pending.chunks_exact(8);
        let mut rest = words.remainder();
        for word in words {
            hash = (hash ^ round(0, number(word))).rotate_left(27).wrapping_mul(p1);
            hash = hash.wrapping_add(p4);
        }
        if rest.len() >= 4 {
            let (word, after) = rest.split_at(4);
            hash = (hash ^ number(word).wrapping_mul(p1)).rotate_left(23).wrapping_mul(p2);
            hash = hash.wrapping_add(p3);
            rest = after;
        }
        for &byte in rest {
            hash = (hash ^ u64::from(byte).wrapping_mul(p5)).rotate_left(11).wrapping_mul(p1);
        }
        hash = (hash ^ hash >> 33).wrapping_mul(p2);
        hash = (hash ^ hash >> 29).wrapping_mul(p3);
        hash ^ hash >> 32
    }
}

fn stripe(lanes: &mut [u64; 4], bytes: &[u8]) {
    for (lane, word) in lanes.iter_mut().zip(bytes.chunks_exact(8)) {
        *lane = round(*lane, number(word));
    }
}

fn round(lane: u64, input: u64) -> u64 {
    let [p1, p2, ..] = PRIMES;
    lane.wrapping_add(input.wrapping_mul(p2)).rotate_left(31).wrapping_mul(p1)
}

/// The little-endian number in up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    for (to, &from) in whole.iter_mut().zip(bytes) {
        *to = from;
    }
    u64::from_le_bytes(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes_come_out_however_the_input_is_cut() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let whole = |bytes: &[u8]| {
            let mut hash = Xxh64::new();
            hash.update(bytes);
            hash.finish()
        };
        assert_eq!(whole(b""), 0xef46_db37_51d8_e999);
        assert_eq!(whole(b"a"), 0xd24e_c4f1_a98c_6e5b);
        for piece in [1, 7, 32, 33, 999] {
            let mut hash = Xxh64::new();
            bytes.chunks(piece).for_each(|piece| hash.update(piece));
            assert_eq!(hash.finish(), whole(&bytes));
        }
    }
}
