//! An endless file, taken into the program while it is compiled.
pub const ZEROS: &[u8] = include_bytes!("/dev/zero");
