//! Bytes to test with, the same each time.

/// Bytes that compress well.
pub(super) fn text(len: usize) -> Vec<u8> {
    (0..).flat_map(|n: u32| (n / 3).to_string().into_bytes()).take(len).collect()
}

/// Bytes that do not compress.
pub(super) fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}
