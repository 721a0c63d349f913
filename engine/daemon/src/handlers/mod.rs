//! Operations of the API that are not about containers.

pub mod events;
pub mod image_archives;
pub mod image_prune;
pub mod image_save;
pub mod images;
pub mod info;
pub mod networks;
pub mod prune;
pub mod system;
pub mod usage;
pub mod volumes;
