//! Signal names and numbers as Docker reads them: `KILL`, `SIGKILL`, `9`, `RTMIN+3`.

use drydock_api::Error;
use nix::sys::signal::Signal;

/// Linux numbers real-time signals from 34 (32 and 33 belong to the C library) to 64.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// Reads a signal.
///
/// # Errors
/// 400 with Docker's texts.
pub fn parse(text: &str) -> Result<i32, Error> {
    let invalid = || Error::invalid(format!("invalid signal: {text}"));
    if let Ok(number) = text.parse::<i32>() {
        return if number == 0 {
            Err(invalid())
        } else {
            Ok(number)
        };
    }
    let upper = text.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Ok(signal) = format!("SIG{short}").parse::<Signal>() {
        return Ok(signal as i32);
    }
    real_time(short).ok_or_else(invalid)
}

fn real_time(name: &str) -> Option<i32> {
    let number = |text: &str| text.parse::<i32>().ok();
    let value = match name {
        "RTMIN" => RTMIN,
        "RTMAX" => RTMAX,
        "CLD" => Signal::SIGCHLD as i32,
        "POLL" => Signal::SIGIO as i32,
        _ => {
            if let Some(above) = name.strip_prefix("RTMIN+") {
                RTMIN + number(above)?
            } else {
                RTMAX - number(name.strip_prefix("RTMAX-")?)?
            }
        }
    };
    (1..=RTMAX).contains(&value).then_some(value)
}

/// Checks that the kernel has a signal of this number.
///
/// # Errors
/// 400 with Docker's text.
pub fn check_supported(signal: i32) -> Result<(), Error> {
    let standard = Signal::try_from(signal).is_ok();
    if standard || (RTMIN..=RTMAX).contains(&signal) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the linux daemon does not support signal {signal}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read() {
        for (text, number) in [
            ("KILL", 9),
            ("SIGTERM", 15),
            ("sigint", 2),
            ("9", 9),
            ("RTMIN+3", 37),
            ("SIGRTMAX-14", 50),
            ("CHLD", 17),
            ("99", 99),
        ] {
            assert_eq!(parse(text), Ok(number), "{text}");
        }
        for text in ["FOO", "0", "", "RTMIN+99", "SIG"] {
            assert_eq!(
                parse(text),
                Err(Error::invalid(format!("invalid signal: {text}")))
            );
        }
    }

    #[test]
    fn unsupported_numbers() {
        assert!(check_supported(15).is_ok() && check_supported(64).is_ok());
        assert_eq!(
            check_supported(99).unwrap_err().to_string(),
            "the linux daemon does not support signal 99"
        );
    }
}
