//! Operations of the API that are not about containers.

pub mod events;
pub mod image_archives;
pub mod images;
pub mod info;
pub mod networks;
pub mod system;
pub mod volumes;
