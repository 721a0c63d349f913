//! The book: what makes its pages, shows them, and proves that they are right.
//!
//! The pages are Markdown in `src/`, in the order of `src/SUMMARY.md`. mdBook turns them into HTML. Their
//! commands are transcripts (see the crate `transcript`): `tests/transcripts.rs` runs them on every rig, and
//! [`check`] makes sure that no command can stand on a page without being run.

pub mod check;
pub mod html;
pub mod serve;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mdbook_driver::MDBook;
use mdbook_driver::book::BookItem;

/// The folder of the book, with `book.toml`.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Markdown files of all pages, in reading order.
///
/// # Errors
/// When `book.toml` or `SUMMARY.md` cannot be read, or names a page that is not there.
pub fn pages() -> Result<Vec<PathBuf>> {
    let book = load()?;
    let source = book.source_dir();
    let chapters = book.iter().filter_map(|item| match item {
        BookItem::Chapter(chapter) => chapter.source_path.as_ref(),
        _ => None,
    });
    Ok(chapters.map(|path| source.join(path)).collect())
}

/// Makes the HTML in `destination`, or in `book/output` of the project, and says where it is.
///
/// # Errors
/// What mdBook says, for example that a page is missing.
pub fn build(destination: Option<&Path>) -> Result<PathBuf> {
    let mut book = load()?;
    if let Some(destination) = destination {
        book.config.build.build_dir = destination.to_owned();
    }
    book.build()
        .map_err(|error| anyhow::anyhow!("{error:#}"))
        .context("build the book")?;
    Ok(book.build_dir_for("html"))
}

fn load() -> Result<MDBook> {
    let root = root();
    MDBook::load(&root)
        .map_err(|error| anyhow::anyhow!("{error:#}"))
        .with_context(|| format!("load the book in {}", root.display()))
}
