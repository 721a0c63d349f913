//! Tells when somebody changed the firewall in a way that touches us.
//!
//! Docker may start after us and set its FORWARD policy to DROP; an operator or a firewall service may flush
//! everything, our table too (CVE-2025-54388 is what follows when nobody looks). The kernel announces each
//! change to a multicast group of nfnetlink, so the daemon polls one descriptor and does not look otherwise.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;

use crate::Error;
use crate::netlink::{Attributes, Part, Parts, Socket};
use crate::nft::{
    NFNL_SUBSYS_NFTABLES, NFNLGRP_NFTABLES, NFT_MSG_DELCHAIN, NFT_MSG_DELRULE, NFT_MSG_DELSET,
    NFT_MSG_DELSETELEM, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWTABLE,
    NFTA_TABLE_NAME,
};

/// Readable when the firewall changed.
#[derive(Debug)]
pub struct FirewallMonitor {
    socket: Socket,
    own_table: String,
}

impl FirewallMonitor {
    /// Listens from now on, in the calling thread's network namespace.
    pub(crate) fn open(own_table: &str) -> Result<FirewallMonitor, Error> {
        let socket = Socket::netfilter_groups(1 << (NFNLGRP_NFTABLES - 1))?;
        Ok(FirewallMonitor {
            socket,
            own_table: own_table.to_owned(),
        })
    }

    /// Reads what is pending, without waiting. True if [`crate::Bridge::ensure_firewall`] and
    /// [`crate::Bridge::ensure_beside_docker`] should be called; what they change themselves shows up here
    /// once more, and then they find nothing to do.
    pub fn drain(&self) -> Result<bool, Error> {
        let mut concerned = false;
        loop {
            match self.socket.receive() {
                Ok(datagram) => concerned |= Parts(&datagram).any(|part| self.concerns_us(&part)),
                Err(Errno::EAGAIN) => return Ok(concerned),
                // More changes than the socket holds: some were lost, so look.
                Err(Errno::ENOBUFS | Errno::EMSGSIZE) => concerned = true,
                Err(errno) => return Err(Error::system("watch the firewall", errno)),
            }
        }
    }

    fn concerns_us(&self, part: &Part<'_>) -> bool {
        if part.kind >> 8 != NFNL_SUBSYS_NFTABLES {
            return false;
        }
        let [family, ..] = part.payload else {
            return false;
        };
        let table = Attributes(part.payload.get(4..).unwrap_or_default()).string(NFTA_TABLE_NAME);
        match part.kind & 0xff {
            NFT_MSG_DELSET | NFT_MSG_DELSETELEM => table == Some(&self.own_table),
            NFT_MSG_DELTABLE | NFT_MSG_DELCHAIN | NFT_MSG_DELRULE
                if table == Some(&self.own_table) =>
            {
                true
            }
            NFT_MSG_NEWTABLE | NFT_MSG_DELTABLE | NFT_MSG_NEWCHAIN | NFT_MSG_DELCHAIN
            | NFT_MSG_NEWRULE | NFT_MSG_DELRULE => *family == 2 && table == Some("filter"),
            _ => false,
        }
    }
}

impl AsFd for FirewallMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
