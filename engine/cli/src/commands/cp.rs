//! `cp`: files between a container and the host. Docker's rules about what is there already, about trailing slashes
//! and about links, in terms of Go's path functions, see `drydock_image::tree::path`.
//!
//! An archive from a container is unpacked below a directory that is held open, and nothing in it leads out of that:
//! the engine may be honest and the container not (CVE-2019-10152).

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use drydock_client::{Body, Method, Response};
use drydock_image::tree::extract::{Options, Owner, Renamed, extract};
use drydock_image::tree::path;
use serde_json::Value;

use super::cp_local::{Source, destination, upload};
use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, Matches};
use crate::format::human;
use crate::query::{Query, path_part};
use crate::session::terminal;
use crate::{Context, output};

/// The flags of `cp`.
pub const FLAGS: &[Flag] = &[
    Flag::switch("archive", "Give the files to the container's user").short('a'),
    Flag::switch("follow-link", "Copy what a link in SRC_PATH points to").short('L'),
    Flag::switch(
        "quiet",
        "Say nothing of what was copied; without a terminal nothing is said anyway",
    )
    .short('q'),
];

/// Bits of Go's `fs.FileMode`.
const DIRECTORY: u64 = 1 << 31;
const SYMBOLIC_LINK: u64 = 1 << 27;
const DEVICE: u64 = 1 << 26;

/// Copies.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let [source, target] = [&matches.words[0], &matches.words[1]];
    if source.is_empty() {
        return Err(Failure::new("source can not be empty"));
    }
    if target.is_empty() {
        return Err(Failure::new("destination can not be empty"));
    }
    let quiet = match matches.given("quiet") {
        true => matches.switch("quiet"),
        false => !terminal::stdout_is_terminal(),
    };
    let (from, source) = split_argument(source);
    let (to, target) = split_argument(target);
    let copy = |container| Copy {
        context,
        container,
        source,
        target,
        follow: matches.switch("follow-link"),
        quiet,
    };
    match (from, to) {
        ("", "") => Err(Failure::new("must specify at least one container source")),
        (from, "") => copy(from).out(),
        ("", to) => copy(to).inward(matches.switch("archive")),
        _ => Err(Failure::new("copying between containers is not supported")),
    }
}

/// A container, or nothing, and a path. A path that begins with `/` or `.` is one of the host even if it has a colon.
fn split_argument(argument: &str) -> (&str, &str) {
    match argument.split_once(':') {
        _ if argument.starts_with('/') => ("", argument),
        Some((container, path)) if !container.starts_with('.') => (container, path),
        _ => ("", argument),
    }
}

/// One copy.
struct Copy<'a> {
    context: &'a Context,
    container: &'a str,
    source: &'a str,
    target: &'a str,
    follow: bool,
    quiet: bool,
}

impl Copy<'_> {
    fn query(&self, path: &str) -> Query {
        Query::new().set("path", path)
    }

    fn route(&self, query: Query) -> String {
        query.on(&format!(
            "/containers/{}/archive",
            path_part(self.container)
        ))
    }

    /// What is at a path of the container.
    fn stat(&self, path: &str) -> Result<Stat, Failure> {
        let route = self.route(self.query(path));
        let client = &self.context.client;
        Stat::of(&client.request(Method::Head, &route, &[], Body::Empty)?)
    }

    /// Out of the container.
    fn out(&self) -> Outcome {
        let to_stdout = self.target == "-";
        let target = match to_stdout {
            true => self.target.to_owned(),
            false => super::cp_local::absolute(self.target)?,
        };
        super::cp_local::check_output(&target)?;
        let (source, rebase) = self.followed();
        let route = self.route(self.query(&source));
        let client = &self.context.client;
        let mut archive = client.request(Method::Get, &route, &[], Body::Empty)?;
        if to_stdout {
            io::copy(&mut archive, &mut output::stdout())?;
            return Ok(0);
        }
        let stat = Stat::of(&archive)?;
        let (count, counted) = Counted::new(&mut archive);
        self.unpack(counted, &source, rebase, &stat, &target)?;
        self.tell(count.load(Ordering::Relaxed), &target)
    }

    /// The path to fetch, and how it is called, where a link is followed.
    fn followed(&self) -> (String, Option<String>) {
        let as_given = || (self.source.to_owned(), None);
        if !self.follow {
            return as_given();
        }
        match self.stat(self.source) {
            // What cannot be looked at cannot be fetched either, and then the error is the engine's.
            Ok(stat) if stat.is(SYMBOLIC_LINK) => rebased(self.source, &stat.leads_to(self.source)),
            _ => as_given(),
        }
    }

    fn unpack(
        &self,
        archive: impl Read,
        source: &str,
        rebase: Option<String>,
        stat: &Stat,
        target: &str,
    ) -> Result<(), Failure> {
        let (_, base) = path::split(source);
        let called = rebase.clone().unwrap_or_else(|| base.clone());
        let there = destination(target)?;
        let plan = Plan::new(&there.path, there.is_directory, stat.is(DIRECTORY), &called)?;
        let renamed = plan.name.or(rebase).map(|new| Renamed { old: base, new });
        let directory = std::fs::File::open(&plan.directory).map_err(|error| {
            Failure::new(crate::failure::go_error("open", &plan.directory, &error))
        })?;
        let options = Options {
            keep_kinds: true,
            owner: Owner::Maker,
            target: &plan.directory,
            whole_names: true,
            renamed,
        };
        extract(archive, directory.into(), &options).map_err(Failure::from)
    }

    /// Into the container.
    fn inward(&self, give_to_user: bool) -> Outcome {
        let source = match self.source {
            "-" => None,
            given => Some(super::cp_local::absolute(given)?),
        };
        let (target, stat) = self.target_inside()?;
        let is_directory = stat.as_ref().map(|stat| stat.is(DIRECTORY));
        let Some(source) = source else {
            if is_directory != Some(true) {
                return Err(Failure::new(format!(
                    "destination \"{}:{}\" must be a directory",
                    self.container, self.target
                )));
            }
            self.put(&target, give_to_user, &mut io::stdin())?;
            return self.tell(0, &format!("{}:{target}", self.container));
        };
        let source = Source::find(&source, self.follow)?;
        let plan = Plan::new(&target, is_directory, source.is_directory, source.called())?;
        let called = plan.name.as_deref().unwrap_or(source.called());
        let copied = upload(&source, called, |archive| {
            let (count, mut counted) = Counted::new(archive);
            self.put(&plan.directory, give_to_user, &mut counted)?;
            Ok(count.load(Ordering::Relaxed))
        })?;
        self.tell(copied, &format!("{}:{target}", self.container))
    }

    /// The place in the container, a link there followed, and what is at it. What cannot be looked at may still be
    /// made: then the engine says what is wrong.
    fn target_inside(&self) -> Result<(String, Option<Stat>), Failure> {
        let mut target = self.target.to_owned();
        let mut found = self.stat(&target).ok();
        if let Some(link) = found.as_ref().filter(|stat| stat.is(SYMBOLIC_LINK)) {
            target = link.leads_to(self.target);
            found = self.stat(&target).ok();
        }
        if found.as_ref().is_some_and(|stat| stat.is(DEVICE)) {
            return Err(Failure::new(format!(
                "destination \"{}:{}\" must be a directory or a regular file: got a device",
                self.container, self.target
            )));
        }
        Ok((target, found))
    }

    fn put(
        &self,
        directory: &str,
        give_to_user: bool,
        archive: &mut dyn Read,
    ) -> Result<(), Failure> {
        let query = self.query(directory).set("noOverwriteDirNonDir", "true");
        let query = query.maybe("copyUIDGID", if give_to_user { "true" } else { "" });
        let route = self.route(query);
        let client = &self.context.client;
        let answer = client.request(Method::Put, &route, &[], Body::Stream(archive))?;
        answer.bytes().map(drop).map_err(Failure::from)
    }

    fn tell(&self, bytes: u64, target: &str) -> Outcome {
        if !self.quiet {
            let size = human::size(i64::try_from(bytes).unwrap_or(i64::MAX), 3);
            output::error_line(&format!("Successfully copied {size} to {target}"));
        }
        Ok(0)
    }
}

/// Where an archive is unpacked, and the name that its one member gets instead of its own.
struct Plan {
    directory: String,
    name: Option<String>,
}

impl Plan {
    /// `there` is None where nothing is, else whether it is a directory.
    fn new(
        target: &str,
        there: Option<bool>,
        source_is_directory: bool,
        called: &str,
    ) -> Result<Plan, Failure> {
        let (directory, name) = path::split(target);
        let renamed = Ok(Plan {
            directory,
            name: (name != called).then_some(name),
        });
        match there {
            Some(true) => Ok(Plan {
                directory: target.to_owned(),
                name: None,
            }),
            Some(false) if source_is_directory => Err(Failure::new("cannot copy directory")),
            None if !source_is_directory && path::asserts_directory(target) => {
                Err(Failure::new("no such directory"))
            }
            _ => renamed,
        }
    }
}

/// A path with its link followed, and the name that was asked for where that is another one now.
pub(super) fn rebased(path: &str, resolved: &str) -> (String, Option<String>) {
    let mut resolved = resolved.to_owned();
    if path::is_contents(path) && !path::is_contents(&resolved) {
        resolved.push_str("/.");
    }
    if path::has_trailing_slash(path) && !path::has_trailing_slash(&resolved) {
        resolved.push('/');
    }
    let base = path::base(path);
    let rebase = (base != path::base(&resolved)).then(|| base.to_owned());
    (resolved, rebase)
}

/// What the engine says about a path.
struct Stat {
    mode: u64,
    link_target: String,
}

impl Stat {
    fn of(response: &Response) -> Result<Stat, Failure> {
        let invalid = || Failure::new("unable to decode container path stat header");
        let header = response.headers.get("X-Docker-Container-Path-Stat");
        let json = header.and_then(decode_base64).ok_or_else(invalid)?;
        let stat: Value = serde_json::from_slice(&json).map_err(|_| invalid())?;
        Ok(Stat {
            mode: stat["mode"].as_u64().ok_or_else(invalid)?,
            link_target: stat["linkTarget"].as_str().unwrap_or("").to_owned(),
        })
    }

    fn is(&self, kind: u64) -> bool {
        self.mode & kind != 0
    }

    /// Where the link at `path` leads.
    fn leads_to(&self, path: &str) -> String {
        if self.link_target.starts_with('/') {
            return self.link_target.clone();
        }
        let (parent, _) = path::split(path);
        path::clean(&format!("{parent}/{}", self.link_target))
    }
}

/// Base64 with the standard alphabet (RFC 4648); None for anything else.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

/// Counts the bytes of an archive.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Counted<R> {
    fn new(inner: R) -> (Arc<AtomicU64>, Counted<R>) {
        let count = Arc::new(AtomicU64::new(0));
        (Arc::clone(&count), Counted { inner, count })
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Whether a path of the host is there, and what it is.
pub(super) fn kind_of_local(path: &Path) -> Option<bool> {
    std::fs::symlink_metadata(path)
        .ok()
        .map(|found| found.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_or_a_path_of_the_host() {
        for (argument, expected) in [
            ("web:/etc", ("web", "/etc")),
            ("/a:b", ("", "/a:b")),
            ("./a:b", ("", "./a:b")),
            ("a", ("", "a")),
            ("web:", ("web", "")),
            ("-", ("", "-")),
        ] {
            assert_eq!(split_argument(argument), expected, "{argument}");
        }
    }

    fn plan(
        target: &str,
        there: Option<bool>,
        directory: bool,
    ) -> Result<(String, Option<String>), String> {
        Plan::new(target, there, directory, "src")
            .map(|plan| (plan.directory, plan.name))
            .map_err(|failure| failure.text)
    }

    #[test]
    fn what_is_there_decides() {
        let into = |directory: &str, name: Option<&str>| {
            Ok((directory.to_owned(), name.map(str::to_owned)))
        };
        assert_eq!(plan("/tmp", Some(true), false), into("/tmp", None));
        assert_eq!(plan("/tmp/", Some(true), true), into("/tmp/", None));
        assert_eq!(plan("/tmp/f", Some(false), false), into("/tmp", Some("f")));
        assert_eq!(plan("/tmp/src", None, false), into("/tmp", None));
        assert_eq!(plan("/tmp/new/", None, true), into("/tmp", Some("new")));
        assert_eq!(
            plan("/tmp/f", Some(false), true),
            Err("cannot copy directory".to_owned())
        );
        assert_eq!(
            plan("/tmp/new/", None, false),
            Err("no such directory".to_owned())
        );
        assert_eq!(
            plan("/tmp/new/.", None, false),
            Err("no such directory".to_owned())
        );
    }

    #[test]
    fn a_followed_link_keeps_the_name_it_was_asked_by() {
        assert_eq!(
            rebased("/a/link", "/b/real"),
            ("/b/real".to_owned(), Some("link".to_owned()))
        );
        assert_eq!(
            rebased("/a/link/", "/b/real"),
            ("/b/real/".to_owned(), Some("link".to_owned()))
        );
        assert_eq!(
            rebased("/a/link/.", "/b/real"),
            ("/b/real/.".to_owned(), None)
        );
        assert_eq!(rebased("/a/same", "/b/same"), ("/b/same".to_owned(), None));
    }

    #[test]
    fn headers_are_decoded() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode_base64(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(decode_base64("Zm9v YmFy"), None);
    }
}
