//! Names: putting one on an image, taking one away, and what goes when the last one does.
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

use crate::digest::Digest;
use crate::error::Error;
use crate::reference::Reference;
use crate::repositories::Repositories;
use crate::store::{Store, is_id_prefix};
use crate::time::now_nanoseconds;
use drydock_defects::defect;

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

/// What a removal has decided to do.
struct Plan {
    image: Digest,
    untag: Vec<Reference>,
    delete: bool,
}

impl Store {
    /// Gives an image a name, taking it from the image that had it. A reference without a tag gets `latest`.
    pub fn tag(&self, image: &Digest, reference: &Reference) -> Result<(), Error> {
        if reference.digest().is_some() {
            return Err(Error::InvalidParameter(
                "refusing to create a tag with a digest reference".into(),
            ));
        }
        let reference = reference.clone().with_default_tag();
        self.change(None, |names| {
            let entry = names.images.get_mut(image).filter(|entry| !entry.removed);
            let entry = entry.ok_or_else(|| Error::no_such_image(image))?;
            entry.last_tagged = Some(now_nanoseconds());
            names.references.insert(reference, *image);
            Ok(())
        })
    }

    /// Removes a name or an image; see the top of this file. `in_use` says which container uses an image.
    ///
    /// `in_use` is called while changes wait, so it must not change the store. A new container must be in the
    /// records that it looks at before its image is looked up for the last time; then the image cannot go
    /// between the two.
    pub fn remove(
        &self,
        name: &str,
        force: bool,
        in_use: &dyn Fn(&Digest) -> Option<InUse>,
    ) -> Result<Vec<Removed>, Error> {
        let (removed, layers) = self.change_and_collect(None, |names| {
            let image = self.snapshot().resolve(name)?.id;
            let user = in_use(&image);
            let plan = decide(names, image, name, force, user.as_ref())?;
            Ok(carry_out(names, &plan, user.is_some()))
        })?;
        Ok(removed
            .into_iter()
            .chain(layers.into_iter().map(Removed::Deleted))
            .collect())
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
    // An image that a running container uses stays, without a name.
    let delete = rest.is_empty() && !user.is_some_and(|user| user.running || !force);
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
