//! The order in which depmod goes through modules that `modules.order` does not name, and
//! through symbols: that of its hash tables. It decides which of two aliases comes first.

/// How many buckets depmod's table of modules has.
pub(super) const MODULES: u32 = 512;
/// How many buckets depmod's table of symbols has.
pub(super) const SYMBOLS: u32 = 2048;

/// What to sort by to get depmod's order: the bucket, then the key in it.
pub(super) fn key(name: &str, buckets: u32) -> (u32, &str) {
    (hash(name.as_bytes()) % buckets, name)
}

/// Paul Hsieh's "SuperFastHash", its bytes signed as where he wrote it down.
fn hash(bytes: &[u8]) -> u32 {
    let pair = |pair: [u8; 2]| u32::from(u16::from_le_bytes(pair));
    let signed = |byte: u8| i32::from(byte.cast_signed()).cast_unsigned();
    let (quads, rest) = bytes.as_chunks::<4>();
    let mut hash = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    for &[a, b, c, d] in quads {
        hash = hash.wrapping_add(pair([a, b]));
        hash = (hash << 16) ^ (pair([c, d]) << 11) ^ hash;
        hash = hash.wrapping_add(hash >> 11);
    }
    match *rest {
        [a, b, c] => {
            hash = hash.wrapping_add(pair([a, b]));
            hash ^= hash << 16;
            hash ^= signed(c) << 18;
            hash = hash.wrapping_add(hash >> 11);
        }
        [a, b] => {
            hash = hash.wrapping_add(pair([a, b]));
            hash ^= hash << 11;
            hash = hash.wrapping_add(hash >> 17);
        }
        [a] => {
            hash = hash.wrapping_add(signed(a));
            hash ^= hash << 10;
            hash = hash.wrapping_add(hash >> 1);
        }
        _ => {}
    }
    hash ^= hash << 3;
    hash = hash.wrapping_add(hash >> 5);
    hash ^= hash << 4;
    hash = hash.wrapping_add(hash >> 17);
    hash ^= hash << 25;
    hash.wrapping_add(hash >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kmod 34.2 listed them.
    #[test]
    fn order_of_names() {
        let listed = "hid3 w3 top w4 m foo c weak b a9 w2 u zz UP q a_b w1 a x";
        let listed: Vec<_> = listed.split(' ').collect();
        let mut names = listed.clone();
        names.sort_unstable();
        names.sort_by_key(|name| key(name, MODULES));
        assert_eq!(names, listed);
    }
}
