//! Containers: their records, and one file for each verb of the API.
//!
//! | file | what |
//! |---|---|
//! | [`record`] | what is known about a container, and how it is kept on disk |
//! | [`container`] | the live object: snapshot, lock, waiters, the link to its shim |
//! | [`registry`] | all containers, by id and by name |
//! | [`create`], [`validate`] | POST /containers/create |
//! | [`start`], [`prepare`], [`spec`], [`files`], [`mounts`] | POST /containers/{id}/start |
//! | [`join`], [`links`] | what a container has of another: namespaces, and names on the default bridge |
//! | [`exit`], [`policy`] | what happens when PID 1 ends |
//! | [`health`], [`probe`] | health checks: the rules, and the task that runs them |
//! | [`reconcile`] | what the daemon does with the records it finds at its start |

pub mod archive;
pub mod attach;
pub mod changes;
pub mod commit;
pub mod container;
pub mod copier;
pub mod create;
pub mod devices;
pub mod exec;
pub mod exec_start;
pub mod exit;
pub mod files;
pub mod health;
pub mod inspect;
pub mod join;
pub mod kill;
pub mod limits;
pub mod links;
pub mod list;
pub mod list_filter;
pub mod log_options;
pub mod logs;
pub mod mounts;
pub mod names;
pub mod pause;
pub mod policy;
pub mod prepare;
pub mod probe;
pub mod processes;
pub mod prune;
pub mod reconcile;
pub mod record;
pub mod registry;
pub mod remove;
pub mod rename;
pub mod resize;
pub mod restart;
pub mod security;
pub mod shim_link;
pub mod signals;
pub mod spec;
pub mod start;
pub mod stats;
pub mod stop;
pub mod sweep;
pub mod top;
pub mod update;
pub mod validate;
pub mod validate_network;
pub mod wait;

pub use container::Container;
pub use record::{Record, Status};
pub use registry::Registry;
