//! Tests over the whole of the library.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]
#![allow(clippy::disallowed_methods, reason = "tests read files and the clock")]

mod architecture;
mod base_profiles;
mod installers;
mod measured;
mod media;
mod plans;
