//! Names of archive members, before they mean anything to the kernel.
//!
//! A name is cleaned as text, the way Go's `path.Clean` does it and therefore Docker: `a/./b//c/../d` is
//! `a/b/d`. A leading slash means the layer's root. A name that climbs above the root by `..` is refused,
//! as Docker 28 does; it is never right, and quietly clamping it would hide an attack.
//!
//! What is left has no `.` and no `..`. It can still pass through a symbolic link that the archive made
//! before; that is the business of [`super::root`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Cleans a name; None if it leads above the root. The root itself is the empty path.
pub(crate) fn clean(name: &[u8]) -> Option<PathBuf> {
    let absolute = name.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.pop().is_none() && !absolute => return None,
            b".." => {}
            part => parts.push(part),
        }
    }
    Some(Path::new(OsStr::from_bytes(&parts.join(&b'/'))).to_path_buf())
}

/// A name for an error message, quoted and escaped: archives may have anything in their names.
pub(crate) fn quoted(name: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(name))
}

/// What a member's name asks for beyond itself (OCI image layer specification, "Whiteouts").
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// An ordinary member.
    Plain,
    /// `.wh.NAME`: NAME of the layers below is deleted.
    Whiteout(&'a OsStr),
    /// `.wh..wh..opq`: nothing of this directory in the layers below is seen.
    Opaque,
    /// `.wh.`, `.wh..`, `.wh...`: would delete the directory itself or its parent.
    Invalid,
}

/// Looks at the last part of a cleaned name.
pub(crate) fn kind(path: &Path) -> Kind<'_> {
    let Some(name) = path.file_name() else {
        return Kind::Plain;
    };
    match name.as_bytes().strip_prefix(b".wh.") {
        None => Kind::Plain,
        Some(b".wh..opq") => Kind::Opaque,
        Some(b"" | b"." | b"..") => Kind::Invalid,
        Some(hidden) => Kind::Whiteout(OsStr::from_bytes(hidden)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning() {
        let cases: &[(&str, Option<&str>)] = &[
            ("a", Some("a")),
            ("./a", Some("a")),
            ("/a/b", Some("a/b")),
            ("//a///b/", Some("a/b")),
            ("a/./b//c/../d", Some("a/b/d")),
            ("", Some("")),
            (".", Some("")),
            ("/", Some("")),
            ("a/..", Some("")),
            ("/../a", Some("a")),
            ("..a/...", Some("..a/...")),
            ("..", None),
            ("../a", None),
            ("a/../../b", None),
            ("./../a", None),
        ];
        for (name, expected) in cases {
            assert_eq!(
                clean(name.as_bytes()),
                expected.map(PathBuf::from),
                "{name}"
            );
        }
    }

    #[test]
    fn whiteouts() {
        let cases = [
            ("a/b", Kind::Plain),
            (".whx", Kind::Plain),
            ("a/.wh.b", Kind::Whiteout(OsStr::new("b"))),
            (".wh..wh..opq", Kind::Opaque),
            (".wh..wh.plnk", Kind::Whiteout(OsStr::new(".wh.plnk"))),
            ("a/.wh.", Kind::Invalid),
            ("a/.wh..", Kind::Invalid),
            ("a/.wh...", Kind::Invalid),
        ];
        for (name, expected) in cases {
            assert_eq!(kind(Path::new(name)), expected, "{name}");
        }
    }
}
