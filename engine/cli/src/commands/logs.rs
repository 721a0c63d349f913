//! `logs`, and the times that `--since` and `--until` take.

use std::io::{Read, Write};

use drydock_client::{Body, Method, stream};

use crate::failure::Outcome;
use crate::flags::{Flag, Matches, values};
use crate::format::human;
use crate::query::{Query, path_part};
use crate::{Context, output};

/// The flags of `logs`.
pub const FLAGS: &[Flag] = &[
    Flag::switch("details", "Show the attributes that the log driver adds"),
    Flag::switch("follow", "Go on as the log grows").short('f'),
    Flag::text(
        "since",
        "Show what is newer than a time (2026-01-02T13:23:37Z) or an age (42m)",
    ),
    Flag::text("tail", "Show the last N lines")
        .short('n')
        .default("all"),
    Flag::switch("timestamps", "Show the time of each line").short('t'),
    Flag::text("until", "Show what is older than a time or an age"),
];

/// Prints the log.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let path = Query::new()
        .flag("details", matches.switch("details"))
        .flag("follow", matches.switch("follow"))
        .maybe("since", &named("since", matches)?)
        .flag("stderr", true)
        .flag("stdout", true)
        .set("tail", matches.text("tail"))
        .flag("timestamps", matches.switch("timestamps"))
        .maybe("until", &named("until", matches)?)
        .on(&format!(
            "/containers/{}/logs",
            path_part(&matches.words[0])
        ));
    let mut response = context
        .client
        .request(Method::Get, &path, &[], Body::Empty)?;
    // The type says whether there are frames (API 1.42 and later), so no inspect is needed to know the TTY.
    if response
        .headers
        .get("Content-Type")
        .is_some_and(|kind| kind.contains("raw-stream"))
    {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match response.read(&mut buffer)? {
                0 => return Ok(0),
                count => output::stdout().write_all(&buffer[..count])?,
            }
        }
    }
    stream::demultiplex(&mut response, &mut output::stdout(), &mut output::stderr())?;
    Ok(0)
}

fn named(flag: &str, matches: &Matches) -> Result<String, String> {
    timestamp(matches.text(flag)).map_err(|fault| format!("invalid value for {flag:?}: {fault}"))
}

/// A time, an age or a number of seconds as the API takes it: seconds since 1970, with nanoseconds.
pub fn timestamp(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if let Ok(age) = values::duration_nanos(text) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let nanos =
            i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec) - i128::from(age);
        return Ok(format!(
            "{}.{:09}",
            nanos.div_euclid(1_000_000_000),
            nanos.rem_euclid(1_000_000_000)
        ));
    }
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if is_number(whole) && is_number(fraction) {
        return Ok(text.to_string());
    }
    // Dates may end early, and without a zone they are UTC.
    let full = match (
        text.contains('T'),
        text.ends_with('Z') || text.rfind(['+', '-']).is_some_and(|at| at > 10),
    ) {
        (false, _) => format!("{text}T00:00:00Z"),
        (true, false) => format!("{text}Z"),
        (true, true) => text.to_string(),
    };
    match human::parse_time(&full) {
        Some((seconds, nanos)) => Ok(format!("{seconds}.{nanos:09}")),
        None => Err(format!(
            "failed to parse value as time or duration: {text:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_the_api() {
        assert_eq!(timestamp("1136073845.5"), Ok("1136073845.5".to_string()));
        assert_eq!(
            timestamp("2006-01-02T15:04:05Z"),
            Ok("1136214245.000000000".to_string())
        );
        assert_eq!(
            timestamp("2006-01-02T15:04:05.999+02:00"),
            Ok("1136207045.999000000".to_string())
        );
        assert_eq!(
            timestamp("2006-01-02T15:04"),
            Ok("1136214240.000000000".to_string())
        );
        assert_eq!(
            timestamp("2006-01-02"),
            Ok("1136160000.000000000".to_string())
        );
        assert!(timestamp("5m").unwrap().contains('.'));
        assert!(timestamp("soon").is_err());
    }
}
