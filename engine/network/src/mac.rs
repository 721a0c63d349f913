//! The MAC address of a container's interface.
//!
//! Docker 28 gives each endpoint a new random address at every start (older versions derived it from the
//! IPv4 address, `02:42:ac:11:00:02`). The address is unicast and locally administered (IEEE 802, section
//! 8.4: bit 0 of the first byte is 0, bit 1 is 1), so it cannot meet the address of real hardware.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Six bytes, written as `02:00:5e:00:53:01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress(pub [u8; 6]);

/// The address for an endpoint's next start, as Docker 28 chooses it: a new random one each time.
///
/// The random bytes are those of std's hash keys, which the kernel seeds once for each thread: an address
/// must be unlike the others, it is no secret, and so it costs no system call on the way of a start.
pub fn mac_address_for_endpoint() -> MacAddress {
    let random = RandomState::new().build_hasher().finish().to_ne_bytes();
    let mut bytes = [
        random[0], random[1], random[2], random[3], random[4], random[5],
    ];
    bytes[0] = (bytes[0] & !0x01) | 0x02;
    MacAddress(bytes)
}

impl MacAddress {
    /// True for an address that one interface can have: unicast and not all zeros.
    pub fn is_unicast(self) -> bool {
        self.0[0] & 0x01 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = Error;

    /// Six pairs of hexadecimal digits with `:` or `-` between them, as Go's `net.ParseMAC` reads them.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::InvalidMacAddress {
            text: text.to_owned(),
        };
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(invalid)?;
            if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(invalid());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
        }
        match parts.next() {
            None => Ok(MacAddress(bytes)),
            Some(_) => Err(invalid()),
        }
    }
}

impl TryFrom<String> for MacAddress {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(address: MacAddress) -> String {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn generated_addresses_differ_and_are_local_unicast() {
        let addresses: HashSet<MacAddress> =
            (0..1000).map(|_| mac_address_for_endpoint()).collect();
        assert_eq!(addresses.len(), 1000);
        assert!(
            addresses
                .iter()
                .all(|mac| mac.is_unicast() && mac.0[0] & 0x02 != 0)
        );
    }

    #[test]
    fn reads_what_it_writes_and_refuses_the_rest() {
        let address: MacAddress = "02:42:AC:11:00:02".parse().unwrap();
        assert_eq!(address.to_string(), "02:42:ac:11:00:02");
        assert_eq!("02-42-ac-11-00-02".parse::<MacAddress>().unwrap(), address);
        for bad in [
            "",
            "02:42:ac:11:00",
            "02:42:ac:11:00:02:03",
            "2:42:ac:11:00:02",
            "02:42:ac:11:00:0g",
            "+2:42:ac:11:00:02",
        ] {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad:?}");
        }
    }
}
