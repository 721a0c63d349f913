//! Names and ids of containers.

use std::fs::File;
use std::io::{self, Read};

use drydock_api::Error;

/// 32 random bytes as 64 hexadecimal digits. Docker avoids ids whose first twelve digits are all decimal,
/// which some programs would take for a number.
///
/// # Errors
/// The operating system's.
pub fn random_id() -> io::Result<String> {
    loop {
        let mut bytes = [0_u8; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if id[..12].bytes().any(|digit| !digit.is_ascii_digit()) {
            return Ok(id);
        }
    }
}

/// Checks a name that a user gives: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
///
/// # Errors
/// 400 with Docker's text; `shown` is the name as the text has it.
pub fn check(name: &str, shown: &str) -> Result<(), Error> {
    let mut bytes = name.bytes();
    let first = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if first && rest && name.len() > 1 {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "Invalid container name ({shown}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )))
}

/// A name for a container that was given none: an adjective and the name of somebody who worked on what
/// containers are made of (time sharing, Unix, networks, packaging, storage). `random` chooses.
pub fn generate(random: u64) -> String {
    let adjective = ADJECTIVES[(random % ADJECTIVES.len() as u64) as usize];
    let person = PEOPLE[(random / ADJECTIVES.len() as u64 % PEOPLE.len() as u64) as usize];
    format!("{adjective}_{person}")
}

#[rustfmt::skip]
const ADJECTIVES: &[&str] = &[
    "able", "agile", "amber", "ample", "apt", "awake", "bold", "brave", "bright", "brisk", "broad", "calm", "candid", "careful", "clear",
    "clever", "cosmic", "crisp", "curious", "daring", "deep", "direct", "eager", "early", "earnest", "even", "fair", "fast", "fine", "firm",
    "fond", "frank", "free", "fresh", "gentle", "glad", "golden", "grand", "green", "hardy", "honest", "humble", "keen", "kind", "lively",
    "loyal", "lucid", "mellow", "merry", "mild", "modest", "neat", "noble", "open", "patient", "plain", "polite", "proud", "quick", "quiet",
    "rapid", "ready", "robust", "sage", "sharp", "silent", "simple", "sincere", "smooth", "solid", "sound", "steady", "stoic", "sunny",
    "swift", "tidy", "tranquil", "true", "vivid", "warm", "wise", "witty", "young", "zealous",
];

#[rustfmt::skip]
const PEOPLE: &[&str] = &[
    "allman", "armstrong", "baran", "bartik", "berners", "bourne", "cerf", "clark", "codd", "conway", "cooper", "corbato", "cray",
    "dijkstra", "engelbart", "estrin", "feinler", "floyd", "goldberg", "goldstine", "hamilton", "hamming", "hoare", "holberton", "hopper",
    "johnson", "joy", "kahn", "kay", "kernighan", "kilburn", "kleinrock", "knuth", "lamport", "lampson", "licklider", "liskov", "lovelace",
    "mauchly", "mccarthy", "mcilroy", "meltzer", "metcalfe", "milner", "naur", "perlman", "pike", "postel", "ritchie", "saltzer", "shannon",
    "spence", "stallings", "stonebraker", "sutherland", "thompson", "tomlinson", "torvalds", "turing", "wheeler", "wilkes", "wirth", "zuse",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers_rule() {
        for good in ["ab", "a1", "web-1", "a.b_c", "0x"] {
            assert!(check(good, good).is_ok(), "{good}");
        }
        for bad in ["", "a", "-x", "_x", ".x", "a b", "a/b", "ä1"] {
            let text = check(bad, bad).unwrap_err().to_string();
            assert_eq!(
                text,
                format!(
                    "Invalid container name ({bad}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
                )
            );
        }
    }

    #[test]
    fn generated_names_are_valid_and_differ() {
        let names: std::collections::HashSet<String> = (0..5000).map(generate).collect();
        assert!(names.iter().all(|name| check(name, name).is_ok()));
        assert_eq!(names.len(), 5000);
    }

    #[test]
    fn ids_are_64_digits() {
        let id = random_id().unwrap();
        assert!(id.len() == 64 && id.bytes().all(|digit| digit.is_ascii_hexdigit()));
        assert_ne!(id, random_id().unwrap());
    }
}
