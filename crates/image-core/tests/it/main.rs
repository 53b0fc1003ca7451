//! Tests over the whole of the library.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests open files and insist")]

mod architecture;
mod media;
mod plans;
