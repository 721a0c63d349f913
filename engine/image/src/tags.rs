//! `docker tag`: puts a name on an image. See [`crate::removal`] for taking one away.

use crate::digest::Digest;
use crate::error::Error;
use crate::reference::Reference;
use crate::store::Store;
use crate::time::now_nanoseconds;

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
}
