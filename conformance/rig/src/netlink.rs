//! Netlink, as little as the harness needs: list and delete nftables tables and rules, delete a link.
//!
//! The programs `nft` and `ip` are not on every host, and a leak check that silently cannot look is worse than
//! none. Formats: netlink(7), `linux/netfilter/nf_tables.h`, `linux/if_link.h`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_DELLINK: u16 = 17;
const IFLA_IFNAME: u16 = 3;
/// `NFNL_SUBSYS_NFTABLES << 8`
const NFTABLES: u16 = 10 << 8;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_GETTABLE: u16 = NFTABLES | 1;
const NFT_MSG_DELTABLE: u16 = NFTABLES | 2;
const NFT_MSG_GETRULE: u16 = NFTABLES | 7;
const NFT_MSG_DELRULE: u16 = NFTABLES | 8;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_HANDLE: u16 = 3;

/// An nftables table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table {
    /// Protocol family: 1 is inet, 2 ip, 10 ip6, 7 bridge.
    pub family: u8,
    /// Its name.
    pub name: String,
}

/// An nftables rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The table's family.
    pub family: u8,
    /// The table's name.
    pub table: String,
    /// The chain's name.
    pub chain: String,
    handle: Vec<u8>,
}

/// All nftables tables of this network namespace.
pub fn tables() -> io::Result<Vec<Table>> {
    let messages = dump(NFT_MSG_GETTABLE)?;
    Ok(messages
        .iter()
        .filter_map(|message| {
            Some(Table {
                family: *message.first()?,
                name: text(attribute(message, NFTA_TABLE_NAME)?),
            })
        })
        .collect())
}

/// All rules that hold `name` somewhere, for example as the name of an interface.
pub fn rules_naming(name: &str) -> io::Result<Vec<Rule>> {
    let mut wanted = name.as_bytes().to_vec();
    wanted.push(0);
    let holds = |message: &&Vec<u8>| message.windows(wanted.len()).any(|window| window == wanted);
    let rule = |message: &Vec<u8>| {
        Some(Rule {
            family: *message.first()?,
            table: text(attribute(message, NFTA_RULE_TABLE)?),
            chain: text(attribute(message, NFTA_RULE_CHAIN)?),
            handle: attribute(message, NFTA_RULE_HANDLE)?.to_vec(),
        })
    };
    Ok(dump(NFT_MSG_GETRULE)?
        .iter()
        .filter(holds)
        .filter_map(rule)
        .collect())
}

/// Deletes a table with all it holds.
pub fn delete_table(table: &Table) -> io::Result<()> {
    batch(
        NFT_MSG_DELTABLE,
        table.family,
        &[(NFTA_TABLE_NAME, terminated(&table.name))],
    )
}

/// Deletes one rule.
pub fn delete_rule(rule: &Rule) -> io::Result<()> {
    let attributes = [
        (NFTA_RULE_TABLE, terminated(&rule.table)),
        (NFTA_RULE_CHAIN, terminated(&rule.chain)),
        (NFTA_RULE_HANDLE, rule.handle.clone()),
    ];
    batch(NFT_MSG_DELRULE, rule.family, &attributes)
}

/// Deletes a network interface of this namespace.
pub fn delete_link(name: &str) -> io::Result<()> {
    let mut payload = vec![0u8; 16];
    put(&mut payload, IFLA_IFNAME, &terminated(name));
    let socket = open(SockProtocol::NetlinkRoute)?;
    send(
        &socket,
        &message(RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, &payload),
    )?;
    receive(&socket).map(drop)
}

/// The payloads of a dump, each beginning with its `nfgenmsg`.
fn dump(kind: u16) -> io::Result<Vec<Vec<u8>>> {
    let socket = open(SockProtocol::NetlinkNetFilter)?;
    send(
        &socket,
        &message(kind, NLM_F_REQUEST | NLM_F_DUMP, &[0, 0, 0, 0]),
    )?;
    receive(&socket)
}

/// One change inside the transaction that nftables wants around it.
fn batch(kind: u16, family: u8, attributes: &[(u16, Vec<u8>)]) -> io::Result<()> {
    let mut payload = vec![family, 0, 0, 0];
    for (number, value) in attributes {
        put(&mut payload, *number, value);
    }
    let subsystem = [0, 0, 0, (NFTABLES >> 8) as u8];
    let mut bytes = message(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, &subsystem);
    bytes.extend(message(kind, NLM_F_REQUEST | NLM_F_ACK, &payload));
    bytes.extend(message(NFNL_MSG_BATCH_END, NLM_F_REQUEST, &subsystem));
    let socket = open(SockProtocol::NetlinkNetFilter)?;
    send(&socket, &bytes)?;
    receive(&socket).map(drop)
}

fn open(protocol: SockProtocol) -> io::Result<OwnedFd> {
    Ok(socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        protocol,
    )?)
}

fn send(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    sendto(
        socket.as_raw_fd(),
        bytes,
        &NetlinkAddr::new(0, 0),
        MsgFlags::empty(),
    )?;
    Ok(())
}

/// Reads until the dump is done or the request is acknowledged.
fn receive(socket: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut payloads = Vec::new();
    let mut buffer = vec![0u8; 256 << 10];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, payload, next)) = split_message(rest) {
            rest = next;
            match kind {
                NLMSG_DONE => return Ok(payloads),
                NLMSG_ERROR => {
                    let code = payload
                        .first_chunk()
                        .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                    return if code == 0 {
                        Ok(payloads)
                    } else {
                        Err(io::Error::from_raw_os_error(-code))
                    };
                }
                _ => payloads.push(payload.to_vec()),
            }
        }
    }
}

/// The type and payload of the first message, and what follows it.
fn split_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let payload = bytes.get(16..length)?;
    Some((
        kind,
        payload,
        bytes.get(length.next_multiple_of(4)..).unwrap_or_default(),
    ))
}

fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((16 + payload.len() as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn put(payload: &mut Vec<u8>, number: u16, value: &[u8]) {
    payload.extend((4 + value.len() as u16).to_ne_bytes());
    payload.extend(number.to_ne_bytes());
    payload.extend(value);
    payload.resize(payload.len().next_multiple_of(4), 0);
}

/// Finds an attribute behind the four bytes of `nfgenmsg`.
fn attribute(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = message.get(4..)?;
    loop {
        let length = u16::from_ne_bytes(*rest.first_chunk()?) as usize;
        let number = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) & 0x3fff;
        let value = rest.get(4..length)?;
        if number == wanted {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\0')
        .to_owned()
}

fn terminated(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found() {
        let mut payload = vec![2, 0, 0, 0];
        put(&mut payload, 7, b"x");
        put(&mut payload, NFTA_TABLE_NAME, &terminated("filter"));
        assert_eq!(
            attribute(&payload, NFTA_TABLE_NAME).map(text),
            Some("filter".into())
        );
        assert_eq!(attribute(&payload, 9), None);
        let bytes = message(NFT_MSG_GETTABLE, NLM_F_REQUEST, &payload);
        let (kind, read, rest) = split_message(&bytes).unwrap();
        assert_eq!(
            (kind, read, rest.len()),
            (NFT_MSG_GETTABLE, payload.as_slice(), 0)
        );
    }
}
