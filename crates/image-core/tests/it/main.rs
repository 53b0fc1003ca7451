//! Tests over the whole of the library.

mod architecture;
