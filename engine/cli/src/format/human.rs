//! Sizes and durations as Docker's `go-units` shows them.

/// `1.98MB`: powers of 1000, `digits` significant digits.
pub fn size(bytes: i64, digits: usize) -> String {
    // A display value: the digits beyond 2^53 are not shown anyway.
    #[allow(clippy::cast_precision_loss)]
    let mut value = bytes as f64;
    let mut unit = 0;
    const UNITS: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
    while value >= 1000.0 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), UNITS[unit])
}

/// `23.54GiB`: powers of 1024, four digits.
pub fn binary_size(bytes: i64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let mut value = bytes as f64;
    let mut unit = 0;
    const UNITS: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    format!("{}{}", significant(value, 4), UNITS[unit])
}

/// Go's `%.*g` for values from 0 up to 1023.
fn significant(value: f64, digits: usize) -> String {
    let whole = if value < 1.0 {
        1
    } else {
        format!("{:.0}", value.floor()).len()
    };
    if whole > digits {
        // `%.3g` of 1000 and more would be in exponents; below 1024 with four digits that is not reached.
        return format!("{value:.0}");
    }
    let text = format!("{value:.*}", digits - whole);
    // Rounding may have made one digit more: 9.999 with three digits is 10.00.
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    }
}

/// `3 minutes`, `About an hour`: a duration in seconds, in words.
pub fn duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    // Go rounds hours: half past is the next one.
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_string(),
        () if seconds == 1 => "1 second".to_string(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_string(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_string(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// Days since 1970-01-01 of a date (civil calendar; Howard Hinnant's algorithm).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Seconds since 1970 and nanoseconds of an RFC 3339 time.
pub fn parse_time(text: &str) -> Option<(i64, u32)> {
    let (date, rest) = text.split_once('T')?;
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let zone = rest.find(['Z', '+', '-'])?;
    let (clock, offset) = rest.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (
        parts.next()??,
        parts.next()??,
        parts.next().unwrap_or(Some(0))?,
    );
    let shift = if offset == "Z" {
        0
    } else {
        let (hours, minutes) = offset[1..].split_once(':')?;
        let shift = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
        if offset.starts_with('-') {
            -shift
        } else {
            shift
        }
    };
    let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some((
        days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - shift,
        nanos,
    ))
}

/// `2026-11-21 07:27:03 +0000 UTC`: how Go prints a time in UTC.
pub fn go_time(seconds: i64) -> String {
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let clock = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} +0000 UTC")
}

/// `2026-11-21T07:27:03.068665116Z` with nine digits.
pub fn nano_time(nanos: i64) -> String {
    let text = go_time(nanos.div_euclid(1_000_000_000));
    let (date, clock) = (&text[..10], &text[11..19]);
    format!("{date}T{clock}.{:09}Z", nanos.rem_euclid(1_000_000_000))
}

/// `Tue Sep 15 11:02:57 2026`: Go's ANSIC layout, in UTC.
pub fn ansi_time(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let day_number = seconds.div_euclid(86_400);
    let (year, month, day) = date(day_number);
    let pick = |names: &[&'static str], index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| names.get(index).copied())
            .unwrap_or("")
    };
    let (weekday, month) = (
        pick(&DAYS, day_number.rem_euclid(7)),
        pick(&MONTHS, month - 1),
    );
    format!(
        "{weekday} {month} {day:>2} {} {year}",
        &go_time(seconds)[11..19]
    )
}

/// The date of a day since 1970.
pub fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_docker_shows_them() {
        for (bytes, short, long) in [
            (0, "0B", "0B"),
            (999, "999B", "999B"),
            (1000, "1kB", "1kB"),
            (1536, "1.54kB", "1.536kB"),
            (1_983_082, "1.98MB", "1.983MB"),
            (507_000_000, "507MB", "507MB"),
            (1_234_567_890, "1.23GB", "1.235GB"),
        ] {
            assert_eq!(
                (size(bytes, 3).as_str(), size(bytes, 4).as_str()),
                (short, long)
            );
        }
        assert_eq!(binary_size(25_276_502_016), "23.54GiB");
        assert_eq!(binary_size(0), "0B");
    }

    #[test]
    fn durations_as_docker_shows_them() {
        for (seconds, text) in [
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
            (172_800 - 1801, "47 hours"),
            (172_800, "2 days"),
            (86_400 * 14, "2 weeks"),
            (86_400 * 60, "2 months"),
            (86_400 * 730, "2 years"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn times_go_both_ways() {
        let (seconds, nanos) = parse_time("2026-11-21T07:27:03.05282903Z").unwrap();
        assert_eq!(
            (go_time(seconds).as_str(), nanos),
            ("2026-11-21 07:27:03 +0000 UTC", 52_829_030)
        );
        assert_eq!(parse_time("2026-11-21T08:27:03+01:00").unwrap().0, seconds);
        assert_eq!(
            nano_time(1_795_246_023_068_665_116),
            "2026-11-21T07:27:03.068665116Z"
        );
        assert_eq!(go_time(0), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(go_time(951_782_400), "2000-02-29 00:00:00 +0000 UTC");
        assert_eq!(ansi_time(seconds), "Sat Nov 21 07:27:03 2026");
        assert!(parse_time("yesterday").is_none());
    }
}
