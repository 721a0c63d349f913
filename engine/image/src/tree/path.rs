//! Paths by their words alone, as Go's `path/filepath` does it: Docker's rules for `cp` are written in these
//! functions, and what a trailing slash or dot means follows from their corner cases.

/// Go's `filepath.Clean`: no doubled slashes, no `.`, no `..` that a name before it can absorb.
pub fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match (absolute, parts.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}

/// Go's `filepath.Base`: the last part, `.` of nothing and `/` of slashes.
pub fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match (path.is_empty(), trimmed.is_empty()) {
        (true, _) => ".",
        (_, true) => "/",
        _ => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }
}

/// Go's `filepath.Dir`: all but the last part, cleaned.
pub fn parent(path: &str) -> String {
    match path.rfind('/') {
        Some(at) => clean(&path[..=at]),
        None => ".".to_owned(),
    }
}

/// Whether a path ends with a slash.
pub fn has_trailing_slash(path: &str) -> bool {
    path.ends_with('/')
}

/// Whether the last part of a path is `.`, that is: what a directory holds, not the directory.
pub fn is_contents(path: &str) -> bool {
    base(path) == "."
}

/// Whether a path can only mean a directory.
pub fn asserts_directory(path: &str) -> bool {
    has_trailing_slash(path) || is_contents(path)
}

/// Puts the trailing `/` or `/.` of `original` back, which cleaning took away.
pub fn keep_ending(cleaned: String, original: &str) -> String {
    let mut path = cleaned;
    if !is_contents(&path) && is_contents(original) {
        if !has_trailing_slash(&path) {
            path.push('/');
        }
        path.push('.');
    }
    if !has_trailing_slash(&path) && has_trailing_slash(original) {
        path.push('/');
    }
    path
}

/// A path inside a container, from the container's root, with its ending kept.
pub fn inside(path: &str) -> String {
    keep_ending(clean(&format!("/{path}")), path)
}

/// The directory and the name that a path means; the name of `a/.` is `.`.
pub fn split(path: &str) -> (String, String) {
    let mut cleaned = clean(path);
    if is_contents(path) {
        cleaned.push_str("/.");
    }
    (parent(&cleaned), base(&cleaned).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go() {
        for (path, expected) in [
            ("", "."),
            ("a//b/./c/..", "a/b"),
            ("../a/../..", "../.."),
            ("/../a", "/a"),
            ("/", "/"),
            ("a/..", "."),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
        for (path, expected) in [
            ("", "."),
            ("///", "/"),
            ("a/b/", "b"),
            ("a/.", "."),
            ("a", "a"),
        ] {
            assert_eq!(base(path), expected, "{path}");
        }
        for (path, expected) in [
            ("a", "."),
            ("/a", "/"),
            ("a/b/", "a/b"),
            ("/a/b", "/a"),
            ("./.", "."),
        ] {
            assert_eq!(parent(path), expected, "{path}");
        }
    }

    #[test]
    fn endings_are_kept() {
        for (path, expected) in [
            ("/tmp/d", "/tmp/d"),
            ("tmp/d/", "/tmp/d/"),
            ("/tmp/d/.", "/tmp/d/."),
            ("/", "/"),
            (".", "/."),
            ("..", "/"),
            ("/tmp/nosuch/..", "/tmp"),
            ("/../../etc", "/etc"),
        ] {
            assert_eq!(inside(path), expected, "{path}");
        }
        assert_eq!(split("/a/b/"), ("/a".to_owned(), "b".to_owned()));
        assert_eq!(split("/a/b/."), ("/a/b".to_owned(), ".".to_owned()));
        assert_eq!(split("a"), (".".to_owned(), "a".to_owned()));
    }
}
