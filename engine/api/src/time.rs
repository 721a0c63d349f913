//! Moments and durations as the API writes them.
//!
//! Docker's moments are RFC 3339 in UTC with up to nine digits of a second and no trailing zeros (Go's
//! RFC3339Nano); its zero is the year 1. Inside the engine a moment is nanoseconds since 1970, 0 for never.

use crate::Error;

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub type Moment = u64;

/// Go's zero time, which Docker sends for "never".
pub const NEVER: &str = "0001-01-01T00:00:00Z";

const NANOS: u64 = 1_000_000_000;

/// RFC 3339 with nanoseconds, trailing zeros cut; 0 is [`NEVER`].
pub fn rfc3339(moment: Moment) -> String {
    if moment == 0 {
        return NEVER.to_owned();
    }
    let mut text = rfc3339_fixed(moment);
    text.pop();
    let kept = text.trim_end_matches('0').trim_end_matches('.').len();
    text.truncate(kept);
    text.push('Z');
    text
}

/// RFC 3339 with exactly nine digits of a second, as in `logs --timestamps`.
pub fn rfc3339_fixed(moment: Moment) -> String {
    let seconds = moment / NANOS;
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        moment % NANOS
    )
}

/// Year, month and day of a count of days since 1970 (Howard Hinnant's `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Days since 1970 of a date (Howard Hinnant's `days_from_civil`); None before 1970.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let era = year / 400;
    let year_of_era = year % 400;
    let shifted_month = (month + 9) % 12;
    let of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    (era * 146_097 + of_era).checked_sub(719_468)
}

/// Reads RFC 3339 (`2026-11-21T06:52:08.01718008Z`, an offset allowed); None for what is no date after 1970.
pub fn parse_rfc3339(text: &str) -> Option<Moment> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let day = days(number(0..4)?, number(5..7)?, number(8..10)?)?;
    let seconds = day * 86_400 + number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let rest = text.get(19..)?;
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (fraction, zone) = rest.split_at(zone_at);
    let digits: String = fraction.trim_start_matches('.').chars().take(9).collect();
    let nanoseconds = format!("{digits:0<9}").parse::<u64>().ok()?;
    let offset = match zone.as_bytes().first()? {
        b'+' | b'-' => {
            let minutes =
                zone.get(1..3)?.parse::<i64>().ok()? * 60 + zone.get(4..6)?.parse::<i64>().ok()?;
            if zone.starts_with('-') {
                -minutes * 60
            } else {
                minutes * 60
            }
        }
        _ => 0,
    };
    let seconds = i64::try_from(seconds).ok()?.checked_sub(offset)?;
    Some(u64::try_from(seconds).ok()? * NANOS + nanoseconds)
}

/// Reads `seconds[.nanoseconds]`, the form of `since` and `until`. What lies before 1970 is 1970.
///
/// # Errors
/// 500 with Go's text, as Docker.
pub fn parse_moment(text: &str) -> Result<Moment, Error> {
    let bad = |part: &str| {
        Error::system(format!(
            "strconv.ParseInt: parsing \"{part}\": invalid syntax"
        ))
    };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().map_err(|_| bad(seconds))?;
    let nanoseconds = if fraction.is_empty() {
        0
    } else {
        let digits: String = fraction.chars().take(9).collect();
        format!("{digits:0<9}")
            .parse::<u64>()
            .map_err(|_| bad(fraction))?
    };
    let seconds = u64::try_from(seconds).unwrap_or(0);
    Ok(seconds.saturating_mul(NANOS).saturating_add(nanoseconds))
}

/// Reads what a user may say for a moment: a duration before `now` (`1h30m`), a date, a date and a time, each with or
/// without an offset (UTC otherwise), or the seconds since 1970.
///
/// # Errors
/// 400 with Docker's text.
pub fn parse_age_or_moment(text: &str, now: Moment) -> Result<Moment, Error> {
    let bad = || {
        Error::invalid(format!(
            "failed to parse value as time or duration: {text:?}"
        ))
    };
    if let Some(age) = parse_duration(text) {
        let moment = i128::from(now) - age;
        return Ok(u64::try_from(moment.max(0)).unwrap_or(u64::MAX));
    }
    if text.get(4..5) != Some("-") {
        return parse_moment(text).map_err(|_| bad());
    }
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        13 => format!("{text}:00:00Z"),
        16 => format!("{text}:00Z"),
        _ if text.ends_with('Z')
            || text.get(10..).is_some_and(|rest| rest.contains(['+', '-'])) =>
        {
            text.to_owned()
        }
        _ => format!("{text}Z"),
    };
    parse_rfc3339(&whole).ok_or_else(bad)
}

/// Go's durations in nanoseconds: `300ms`, `-1.5h`, `2h45m`. None for what is none; a plain number has no unit and
/// is none.
fn parse_duration(text: &str) -> Option<i128> {
    const UNITS: [(&str, f64); 6] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
    ];
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut sum = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(unit_at);
        let unit_end = after
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        sum += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    Some(sign * sum as i128)
}

/// A duration as `docker ps` words it: `Less than a second`, `About a minute`, `3 hours`.
pub fn human_duration(nanoseconds: u64) -> String {
    let seconds = nanoseconds / NANOS;
    let minutes = seconds / 60;
    // Docker rounds hours to the nearest, and takes all larger units from the hours.
    let hours = (nanoseconds + 1800 * NANOS) / (3600 * NANOS);
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, 2..48) => format!("{hours} hours"),
        (_, _, 48..336) => format!("{} days", hours / 24),
        (_, _, 336..1440) => format!("{} weeks", hours / 24 / 7),
        (_, _, 1440..17_520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_users_say_them() {
        let now = 10_000_000 * NANOS;
        let seconds = |text: &str| parse_age_or_moment(text, now).map(|moment| moment / NANOS);
        assert_eq!(seconds("1h30m"), Ok(10_000_000 - 5400));
        assert_eq!(seconds("1.5h"), Ok(10_000_000 - 5400));
        assert_eq!(seconds("-1s"), Ok(10_000_001));
        assert_eq!(seconds("999999h"), Ok(0));
        assert_eq!(seconds("12.5"), Ok(12));
        for text in [
            "1970-01-02",
            "1970-01-02T00:00",
            "1970-01-02T00:00:00",
            "1970-01-02T01:00:00+01:00",
        ] {
            assert_eq!(seconds(text), Ok(86_400), "{text}");
        }
        for text in ["whenever", "1d", "", "12.x", "1970-13"] {
            let error = seconds(text).unwrap_err();
            assert_eq!(error.status(), 400, "{text}");
        }
    }

    #[test]
    fn moments_are_written_as_go_does() {
        assert_eq!(rfc3339(0), NEVER);
        assert_eq!(
            rfc3339(1_795_243_928_017_180_080),
            "2026-11-21T06:52:08.01718008Z"
        );
        assert_eq!(rfc3339(NANOS), "1970-01-01T00:00:01Z");
        assert_eq!(
            rfc3339_fixed(951_782_400 * NANOS),
            "2000-02-29T00:00:00.000000000Z"
        );
    }

    #[test]
    fn moments_are_read_back() {
        for moment in [1, NANOS, 951_868_799 * NANOS + 5, 1_795_243_928_017_180_080] {
            assert_eq!(parse_rfc3339(&rfc3339(moment)), Some(moment));
        }
        assert_eq!(parse_rfc3339("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(parse_rfc3339(NEVER), None);
        assert_eq!(parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn since_and_until() {
        assert_eq!(parse_moment("10"), Ok(10 * NANOS));
        assert_eq!(parse_moment("1.000000001"), Ok(NANOS + 1));
        assert_eq!(parse_moment("1.5"), Ok(NANOS + NANOS / 2));
        assert_eq!(parse_moment("-7"), Ok(0));
        assert_eq!(
            parse_moment("xx"),
            Err(Error::system(
                "strconv.ParseInt: parsing \"xx\": invalid syntax"
            ))
        );
    }

    #[test]
    fn durations_are_dockers() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5399, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (14 * 86_400, "2 weeks"),
            (60 * 86_400, "2 months"),
            (2 * 365 * 86_400, "2 years"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human_duration(seconds * NANOS), text, "{seconds}");
        }
    }
}
