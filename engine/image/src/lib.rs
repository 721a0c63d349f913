//! Images: what they are called, how they are stored, and how archives become images.
//!
//! **The idea is content-addressed storage.** Everything is named by the hash of its bytes, its
//! [`Digest`]. An image is a chain of such names: its id is the digest of its config document, which holds
//! the digest of each layer's archive, which covers every byte of every file. From that follow
//!
//! * *integrity*: who has the id can check all the rest, wherever it came from ([`Store::verify`]);
//! * *sharing*: two images with the same lower layers keep them once, see [`layer`];
//! * *no change in place*: other bytes have another name, so a running container never sees its image
//!   change. What changes are the *names of people*: `busybox:latest` is a [`Reference`], a pointer that
//!   can be moved.
//!
//! Where to read on:
//!
//! | file | about |
//! |---|---|
//! | [`mod@reference`] | `busybox` means `docker.io/library/busybox:latest` |
//! | [`digest`] | the names of things, and hashing while reading |
//! | `store`, `repositories`, `blob`, [`layer`], `durable` | what lies where, and why a power cut loses nothing |
//! | [`image`] | the config document |
//! | `tags`, `removal` | `tag` and `rmi` |
//! | `load`, `oci_layout`, `import`, `config`, `changes`, `spool` | archives in |
//! | `commit`, `pack` | a container's changes as an image |
//! | `save` | archives out |
//! | `tape`, `tape_writer`, `compression` | tar, gzip, zstd, xz |
//! | `unpack`, `sandbox` | hostile archives and three walls against them |
//! | [`difference`], [`tree`] | a container's files: what it changed, and copies in and out |
//!
//! Limits, so that an archive cannot exhaust the host; all answer with an error and change nothing:
//!
//! | what | at most |
//! |---|---|
//! | manifest, index, config | 4 MiB each, 128 levels deep |
//! | layers of an image | 125, as in Docker: overlayfs takes no more |
//! | members of an image archive | 100,000 |
//! | members of a layer | 4,000,000 |
//! | one layer, unpacked | 256 GiB |
//! | bytes from one compressed byte | 4,096, beyond the first 256 MiB |
//! | memory of a zstd window, an xz dictionary | 128 MiB |
//! | long name or PAX records of a member | 1 MiB |
//!
//! Specifications: OCI image specification 1.1 (config, layer, image layout), Docker image specification
//! 1.3, and Docker 28.5 itself for everything a user sees.

mod blob;
mod changes;
mod commit;
mod compression;
mod config;
pub mod difference;
pub mod digest;
mod dockerfile_words;
mod durable;
pub mod error;
pub mod image;
mod import;
pub mod layer;
mod load;
mod oci_layout;
mod pack;
pub mod reference;
mod removal;
mod repositories;
mod sandbox;
mod save;
mod spool;
mod store;
mod tags;
mod tape;
mod tape_writer;
mod time;
pub mod tree;
mod unpack;
pub mod usage;

pub use changes::config_from_changes;
pub use commit::{CommitOptions, PackedLayer};
pub use digest::Digest;
pub use error::Error;
pub use image::Image;
pub use import::ImportOptions;
pub use load::{LoadEvent, Loaded};
pub use reference::{AnyReference, Reference};
pub use removal::{InUse, RemoveOptions, Removed};
pub use save::Saving;
pub use store::{Problem, Store};
pub use unpack::Unpacker;
pub use unpack::child::unpack_main;
