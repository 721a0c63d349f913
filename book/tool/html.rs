//! The little that is needed to check links in the HTML that mdBook made: ids, and where links lead.
//!
//! Links are checked in the result, not in the Markdown: mdBook makes the ids of headings and rewrites
//! links, so only the result says whether a link works.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where a link leads, and in which file it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenLink {
    /// The HTML file, relative to the book.
    pub page: PathBuf,
    /// The link as it is written.
    pub link: String,
}

/// All links below `book` that lead to a file or an id that is not there. Links to other sites are not
/// followed: a check that needs the network would fail for other reasons than the book.
///
/// # Errors
/// When a file cannot be read.
pub fn broken_links(book: &Path) -> Result<Vec<BrokenLink>> {
    let mut broken = Vec::new();
    for page in html_files(book)? {
        let text = read(&page)?;
        for link in attributes(&text, "href")
            .into_iter()
            .chain(attributes(&text, "src"))
        {
            if leads_elsewhere(&link) || leads_somewhere(&page, &text, &link)? {
                continue;
            }
            let page = page.strip_prefix(book).unwrap_or(&page).to_owned();
            broken.push(BrokenLink { page, link });
        }
    }
    Ok(broken)
}

fn leads_elsewhere(link: &str) -> bool {
    ["http://", "https://", "mailto:", "data:"]
        .iter()
        .any(|scheme| link.starts_with(scheme))
}

fn leads_somewhere(page: &Path, text: &str, link: &str) -> Result<bool> {
    let (file, id) = link.split_once('#').unwrap_or((link, ""));
    let target = page
        .parent()
        .map_or_else(|| PathBuf::from(file), |folder| folder.join(file));
    if !file.is_empty() && !target.exists() {
        return Ok(false);
    }
    if id.is_empty() {
        return Ok(true);
    }
    let ids = match file {
        "" => ids(text),
        _ => ids(&read(&target)?),
    };
    Ok(ids.contains(id))
}

fn ids(text: &str) -> BTreeSet<String> {
    attributes(text, "id").into_iter().collect()
}

/// The values of all attributes `name="…"` within tags. mdBook writes attributes with double quotes.
fn attributes(text: &str, name: &str) -> Vec<String> {
    let start = format!("{name}=\"");
    let mut values = Vec::new();
    for tag in text.split('<').skip(1) {
        // What begins with a name or a slash is a tag; scripts also contain the sign.
        let Some(tag) = tag
            .starts_with(|first: char| first.is_ascii_alphabetic())
            .then(|| tag.split('>').next())
            .flatten()
        else {
            continue;
        };
        for (position, _) in tag.match_indices(&start) {
            if !tag[..position].ends_with(char::is_whitespace) {
                continue;
            }
            if let Some(value) = tag[position + start.len()..].split('"').next() {
                values.push(value.replace("&amp;", "&"));
            }
        }
    }
    values
}

fn html_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(html_files(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a page");
        }
        folder
    }

    #[test]
    fn good_links_are_not_reported() {
        let folder = book(&[
            (
                "a.html",
                r##"<a href="b.html#part">b</a> <a href="#top">top</a> <h1 id="top">A</h1> <a href="https://example.org/x">x</a>"##,
            ),
            ("b.html", r#"<h2 class="x" id="part">part</h2>"#),
        ]);
        assert_eq!(broken_links(folder.path()).expect("a check"), []);
    }

    #[test]
    fn a_missing_file_and_a_missing_id_are_reported() {
        let folder = book(&[
            (
                "a.html",
                r#"<a href="c.html">c</a> <a class="x" href="b.html#other">b</a> <img src="d.svg">"#,
            ),
            ("b.html", r#"<h2 id="part">part</h2>"#),
        ]);
        let broken = broken_links(folder.path()).expect("a check");
        let links: Vec<&str> = broken.iter().map(|broken| broken.link.as_str()).collect();
        assert_eq!(links, ["c.html", "b.html#other", "d.svg"]);
    }

    #[test]
    fn a_data_attribute_is_no_id() {
        assert_eq!(attributes(r#"<p data-id="x" id="y">"#, "id"), ["y"]);
    }
}
