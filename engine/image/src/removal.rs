//! Removing: what goes when a name is taken away, or an image.
//!
//! `docker rmi` is one command for several things, and its rules are Docker's (`daemon/images/image_delete.go`
//! of version 28; the texts were compared with a running one):
//!
//! * by a **name**, only that name goes, and the image with it if it was the last. Without force that is
//!   refused if a container uses the image and this is its only name;
//! * by an **id**, all names and the image go. Several names need force; a stopped container needs force; a
//!   running one refuses in any case.
//!
//! With force, the last name of an image that a running container uses can be taken away; the image stays,
//! without a name. With force, an image that a stopped container uses is removed: it is in no list any
//! more, but its layers stay until the container has gone ([`Store::release`]), and the container can be
//! started again.
//!
//! An image that another was made from here (`commit`) is never removed before that one; without a name it is
//! then out of sight, and goes with the last of its children, unless a container uses it.

use std::collections::BTreeSet;

use drydock_defects::defect;

use crate::digest::Digest;
use crate::error::Error;
use crate::reference::Reference;
use crate::repositories::Repositories;
use crate::store::{Catalogue, Store, is_id_prefix};

/// A container that uses an image. Where several do, a running one is to be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// Its full id.
    pub container_id: String,
    /// Whether it runs, paused included.
    pub running: bool,
}

/// One thing that a removal did, as the answer to `DELETE /images/…` lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name went; familiar form.
    Untagged(String),
    /// An image (by id) or one of its layers (by chainID) went.
    Deleted(Digest),
}

/// How to remove.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Although containers use it, or it has several names.
    pub force: bool,
    /// Leave the images it was made from, also those that have no name.
    pub keep_parents: bool,
}

/// What a removal has decided to do.
struct Plan {
    image: Digest,
    untag: Vec<Reference>,
    delete: bool,
}

impl Store {
    /// Removes a name or an image; see the top of this file. `in_use` says which container uses an image.
    ///
    /// `in_use` is called while changes wait, so it must not change the store. A new container must be in the
    /// records that it looks at before its image is looked up for the last time; then the image cannot go
    /// between the two.
    pub fn remove(
        &self,
        name: &str,
        options: RemoveOptions,
        in_use: &dyn Fn(&Digest) -> Option<InUse>,
    ) -> Result<Vec<Removed>, Error> {
        let ((removed, before), layers) = self.change_and_collect(None, |names| {
            let before = self.snapshot();
            let image = before.resolve(name)?.id;
            let user = in_use(&image);
            let plan = decide(names, image, name, options.force, user.as_ref())?;
            let mut parent = names.parent_of(&image).filter(|_| plan.delete);
            let mut removed = carry_out(names, &plan, user.is_some());
            while let Some(id) = parent.filter(|id| !options.keep_parents && is_free(names, id)) {
                if in_use(&id).is_some() {
                    break;
                }
                parent = names.parent_of(&id);
                names.images.remove(&id);
                removed.push(Removed::Deleted(id));
            }
            Ok((removed, before))
        })?;
        Ok(with_layers(removed, &layers, &before))
    }

    /// Frees the layers of images that were removed with force and that no container uses any more. To be
    /// called after a container was removed, and once when the daemon has read its records.
    pub fn release(&self, in_use: &dyn Fn(&Digest) -> Option<InUse>) -> Result<(), Error> {
        let waiting = self.snapshot();
        if !waiting
            .repositories
            .images
            .values()
            .any(|entry| entry.removed)
        {
            return Ok(());
        }
        self.change_and_collect(None, |names| {
            names
                .images
                .retain(|id, entry| !entry.removed || in_use(id).is_some());
            Ok(())
        })
        .map(drop)
    }
}

/// Whether nothing but containers may need an image: it has no name, and none was made from it.
fn is_free(names: &Repositories, id: &Digest) -> bool {
    names.references_of(id).is_empty() && !names.has_children(id)
}

/// Puts the layers that went behind the image that had them last.
fn with_layers(removed: Vec<Removed>, gone: &[Digest], before: &Catalogue) -> Vec<Removed> {
    let chain_ids = |step: &Removed| match step {
        Removed::Deleted(id) => before.images.get(id).map(|image| &image.chain_ids),
        Removed::Untagged(_) => None,
    };
    let mut result = Vec::new();
    let gone: BTreeSet<&Digest> = gone.iter().collect();
    for (position, step) in removed.iter().enumerate() {
        result.push(step.clone());
        let later: BTreeSet<&Digest> = removed[position + 1..]
            .iter()
            .filter_map(chain_ids)
            .flatten()
            .collect();
        let own = chain_ids(step).into_iter().flatten().rev();
        let went = own.filter(|id| gone.contains(id) && !later.contains(id));
        result.extend(went.copied().map(Removed::Deleted));
    }
    result
}

/// Says what a removal does, or why it cannot be. The names are not changed.
fn decide(
    names: &Repositories,
    image: Digest,
    name: &str,
    force: bool,
    user: Option<&InUse>,
) -> Result<Plan, Error> {
    let references = names.references_of(&image);
    if is_id_prefix(&image, name) {
        if names.has_children(&image) {
            return Err(conflict(
                &image,
                "cannot be forced",
                "image has dependent child images",
            ));
        }
        if is_single(&references) {
            check_containers(&image, force, user)?;
            return Ok(Plan {
                image,
                untag: references,
                delete: true,
            });
        }
        check_containers(&image, true, user)?;
        if !force {
            return Err(conflict(
                &image,
                "must be forced",
                "image is referenced in multiple repositories",
            ));
        }
        return Ok(Plan {
            image,
            untag: references,
            delete: true,
        });
    }
    let force = force || defect!("used-image-removed");
    if let Some(user) = user.filter(|_| !force && is_single(&references)) {
        return Err(Error::Conflict(format!(
            "conflict: unable to remove repository reference \"{name}\" (must force) - container {} is using its referenced image {}",
            short(&user.container_id),
            image.short()
        )));
    }
    let reference =
        Reference::parse(name).map_err(|error| Error::InvalidParameter(error.to_string()))?;
    let reference = reference.with_default_tag().favour_digest();
    let mut untag = vec![reference.clone()];
    let mut rest: Vec<Reference> = references
        .into_iter()
        .filter(|other| *other != reference)
        .collect();
    if reference.digest().is_none()
        && !rest
            .iter()
            .any(|other| other.digest().is_none() && same_name(other, &reference))
    {
        // The last tag of a repository takes the digests of the same repository along.
        untag.extend(rest.extract_if(.., |other| same_name(other, &reference)));
    }
    // An image that a running container uses, or that others were made from, stays without a name.
    let kept = names.has_children(&image) || user.is_some_and(|user| user.running || !force);
    let delete = rest.is_empty() && !kept;
    Ok(Plan {
        image,
        untag,
        delete,
    })
}

fn carry_out(names: &mut Repositories, plan: &Plan, used: bool) -> Vec<Removed> {
    let mut removed: Vec<Removed> = plan
        .untag
        .iter()
        .map(|reference| Removed::Untagged(reference.familiar()))
        .collect();
    for reference in &plan.untag {
        names.references.remove(reference);
    }
    if plan.delete {
        removed.push(Removed::Deleted(plan.image));
        match names.images.get_mut(&plan.image) {
            Some(entry) if used => entry.removed = true,
            _ => drop(names.images.remove(&plan.image)),
        }
    }
    removed
}

/// Whether containers let the image go.
fn check_containers(image: &Digest, force: bool, user: Option<&InUse>) -> Result<(), Error> {
    match user {
        Some(InUse {
            container_id,
            running: true,
        }) => {
            let text = format!(
                "image is being used by running container {}",
                short(container_id)
            );
            Err(conflict(image, "cannot be forced", &text))
        }
        Some(InUse {
            container_id,
            running: false,
        }) if !force => {
            let text = format!(
                "image is being used by stopped container {}",
                short(container_id)
            );
            Err(conflict(image, "must be forced", &text))
        }
        _ => Ok(()),
    }
}

fn conflict(image: &Digest, force: &str, reason: &str) -> Error {
    Error::Conflict(format!(
        "conflict: unable to delete {} ({force}) - {reason}",
        image.short()
    ))
}

/// The first 12 digits of a container's id.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn same_name(one: &Reference, other: &Reference) -> bool {
    one.domain() == other.domain() && one.path() == other.path()
}

/// Whether the names are at most one tag, and digests of one repository, the tag's if there is one.
fn is_single(references: &[Reference]) -> bool {
    let (digests, tags): (Vec<_>, Vec<_>) = references
        .iter()
        .partition(|reference| reference.digest().is_some());
    match (tags.as_slice(), digests.first()) {
        ([], None) => true,
        ([], Some(first)) => digests.iter().all(|digest| same_name(digest, first)),
        ([tag], _) => digests.iter().all(|digest| same_name(digest, tag)),
        _ => false,
    }
}
