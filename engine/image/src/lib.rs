//! Images (being written).
mod api_draft;
pub mod digest;
pub mod error;
pub mod reference;
pub use api_draft::*;
pub use digest::Digest;
pub use error::Error;
pub use reference::Reference;
