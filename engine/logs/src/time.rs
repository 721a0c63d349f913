//! Points in time as RFC 3339 text, in the two forms that Docker uses.
//!
//! Log files have Go's `RFC3339Nano`, which drops trailing zeros of the fraction (and the whole fraction when
//! it is zero); `docker logs --timestamps` prints nine digits always, so that columns line up. Times are
//! always UTC. The calendar arithmetic is the well-known one on years that begin in March.

const NANOS: u64 = 1_000_000_000;
const DAY: u64 = 86_400;

/// `2026-01-02T03:04:05.6Z`: as many digits as needed.
pub fn rfc3339_nano(nanos: u64) -> String {
    let mut text = seconds(nanos / NANOS);
    let fraction = nanos % NANOS;
    if fraction != 0 {
        let digits = format!(".{fraction:09}");
        text.push_str(digits.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// `2026-01-02T03:04:05.600000000Z`: nine digits always.
pub fn rfc3339_nano_fixed(nanos: u64) -> String {
    let mut text = seconds(nanos / NANOS);
    text.push_str(&format!(".{:09}Z", nanos % NANOS));
    text
}

/// `2026-01-02T04:04:05+01:00`, in a zone so many seconds east of UTC, as Go's `RFC3339`.
pub(crate) fn rfc3339_seconds(nanos: u64, offset: i32) -> String {
    let mut text = seconds(shifted(nanos, offset));
    push_zone(&mut text, offset);
    text
}

/// The same with six digits of the second.
pub(crate) fn rfc3339_micros(nanos: u64, offset: i32) -> String {
    let mut text = seconds(shifted(nanos, offset));
    text.push_str(&format!(".{:06}", nanos % NANOS / 1000));
    push_zone(&mut text, offset);
    text
}

/// `Jan  2 03:04:05`, as Go's `Stamp` and syslog's.
pub(crate) fn stamp(nanos: u64, offset: i32) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let local = shifted(nanos, offset);
    let (_, month, day) = civil_from_days(local / DAY);
    let name = usize::try_from(month - 1)
        .ok()
        .and_then(|index| MONTHS.get(index));
    let of_day = local % DAY;
    format!(
        "{} {day:2} {:02}:{:02}:{:02}",
        name.unwrap_or(&""),
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// Seconds on the clock of a zone.
fn shifted(nanos: u64, offset: i32) -> u64 {
    (nanos / NANOS).saturating_add_signed(offset.into())
}

fn push_zone(text: &mut String, offset: i32) {
    if offset == 0 {
        text.push('Z');
        return;
    }
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.unsigned_abs() / 60;
    text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
}

/// Reads RFC 3339 with `Z` or a numeric offset and any number of fraction digits (more than nine are cut).
/// None for anything else, and for times before 1970 or after 2554, which 64 bits of nanoseconds cannot hold.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let shape = bytes.len() >= 20
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && matches!(bytes[10], b'T' | b't')
        && bytes[13] == b':'
        && bytes[16] == b':';
    if !shape {
        return None;
    }
    let (year, month, day) = (
        digits(&bytes[..4])?,
        digits(&bytes[5..7])?,
        digits(&bytes[8..10])?,
    );
    let (hour, minute, second) = (
        digits(&bytes[11..13])?,
        digits(&bytes[14..16])?,
        digits(&bytes[17..19])?,
    );
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let (fraction, zone) = fraction(&bytes[19..])?;
    let of_day = i64::try_from(hour * 3600 + minute * 60 + second).ok()?;
    let total = days_from_civil(year, month, day)? * DAY as i64 + of_day - offset(zone)?;
    u64::try_from(total)
        .ok()?
        .checked_mul(NANOS)?
        .checked_add(fraction)
}

fn seconds(seconds: u64) -> String {
    let (year, month, day) = civil_from_days(seconds / DAY);
    let of_day = seconds % DAY;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // Counted from 0000-03-01, so that the leap day is the last day of a year.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// The inverse; may be negative before 1970.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<i64> {
    let year = i64::try_from(year).ok()? - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = i64::try_from((month + 9) % 12).ok()?;
    let of_year = (153 * shifted_month + 2) / 5 + i64::try_from(day).ok()? - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    Some(era * 146_097 + of_era - 719_468)
}

fn digits(bytes: &[u8]) -> Option<u64> {
    bytes.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + u64::from(byte - b'0'))
    })
}

/// Splits `.678Z` into nanoseconds and `Z`.
fn fraction(rest: &[u8]) -> Option<(u64, &[u8])> {
    let Some((b'.', rest)) = rest.split_first() else {
        return Some((0, rest));
    };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let kept = length.min(9);
    let scale = 10u64.pow(9 - u32::try_from(kept).ok()?);
    Some((digits(&rest[..kept])? * scale, &rest[length..]))
}

/// Seconds east of UTC of `Z` or `+01:00`.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            let seconds = i64::try_from(hours * 3600 + minutes * 60).ok()?;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_trailing_zeros_as_go_does() {
        assert_eq!(rfc3339_nano(0), "1970-01-01T00:00:00Z");
        assert_eq!(
            rfc3339_nano(1_795_244_163_336_479_790),
            "2026-11-21T06:56:03.33647979Z"
        );
        assert_eq!(
            rfc3339_nano_fixed(1_795_244_163_336_479_790),
            "2026-11-21T06:56:03.336479790Z"
        );
        assert_eq!(
            rfc3339_nano_fixed(1_795_244_163_000_000_000),
            "2026-11-21T06:56:03.000000000Z"
        );
    }

    #[test]
    fn every_day_of_four_centuries_goes_there_and_back() {
        for day in 0..150_000u64 {
            let nanos = (day * DAY + 12_345) * NANOS + 6;
            assert_eq!(
                parse_rfc3339(&rfc3339_nano(nanos)),
                Some(nanos),
                "day {day}"
            );
        }
    }

    #[test]
    fn zones_and_stamps_are_gos() {
        let time = 1_795_846_909_401_915_000;
        assert_eq!(stamp(time, 0), "Nov 28 06:21:49");
        assert_eq!(stamp(time, 86_400 * 4), "Dec  2 06:21:49");
        assert_eq!(rfc3339_seconds(time, 0), "2026-11-28T06:21:49Z");
        assert_eq!(rfc3339_seconds(time, 19_800), "2026-11-28T11:51:49+05:30");
        assert_eq!(
            rfc3339_micros(time, -3600 * 8),
            "2026-11-27T22:21:49.401915-08:00"
        );
    }

    #[test]
    fn knows_leap_days() {
        assert_eq!(rfc3339_nano(951_782_400 * NANOS), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339_nano(4_107_542_400 * NANOS), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn reads_offsets_and_refuses_nonsense() {
        let utc = parse_rfc3339("2026-11-21T06:56:03.5Z");
        assert!(utc.is_some());
        assert_eq!(parse_rfc3339("2026-11-21T08:56:03.5+02:00"), utc);
        assert_eq!(parse_rfc3339("2026-11-20T22:56:03.50000000099-08:00"), utc);
        for wrong in [
            "",
            "2026-11-21",
            "2026-11-21T06:56:03",
            "2026-11-21T06:56:03.Z",
            "2026-13-21T06:56:03Z",
            "2026-11-21T06:56:03Zx",
            "1969-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z",
            "2026-11-21T06:5a:03Z",
        ] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong}");
        }
    }
}
