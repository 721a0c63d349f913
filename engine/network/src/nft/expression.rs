//! The steps that a rule of nf_tables is made of, written and read.
//!
//! A rule is a small program: load a fact into a register, compare it or look it up, and so on, and at last
//! a verdict.

use super::{NF_ACCEPT, NF_DROP, NFTA_LIST_ELEM};
use crate::netlink::{Attributes, Message};

const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
pub(super) const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
const NFT_JUMP: u32 = -3i32 as u32;

const NFTA_META_DREG: u16 = 1;
const NFTA_META_KEY: u16 = 2;
const NFTA_CT_DREG: u16 = 1;
const NFTA_CT_KEY: u16 = 2;
const NFT_CT_STATE: u32 = 0;
const NFTA_CMP_SREG: u16 = 1;
const NFTA_CMP_OP: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;
const NFTA_PAYLOAD_DREG: u16 = 1;
const NFTA_PAYLOAD_BASE: u16 = 2;
const NFTA_PAYLOAD_OFFSET: u16 = 3;
const NFTA_PAYLOAD_LEN: u16 = 4;
const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
const NFTA_BITWISE_SREG: u16 = 1;
const NFTA_BITWISE_DREG: u16 = 2;
const NFTA_BITWISE_LEN: u16 = 3;
const NFTA_BITWISE_MASK: u16 = 4;
const NFTA_BITWISE_XOR: u16 = 5;
const NFTA_LOOKUP_SET: u16 = 1;
const NFTA_LOOKUP_SREG: u16 = 2;
const NFTA_LOOKUP_FLAGS: u16 = 5;
const NFT_LOOKUP_F_INV: u32 = 1;
const NFTA_IMMEDIATE_DREG: u16 = 1;
const NFTA_IMMEDIATE_DATA: u16 = 2;
const NFT_REG_VERDICT: u32 = 0;

/// A register of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// `NFT_REG_1`.
    One = 1,
    /// `NFT_REG_2`; a lookup of 32 bytes in [`Register::One`] reads it too.
    Two = 2,
}

/// What is known of a packet beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meta {
    /// `iifname`: where it came in.
    InputInterface = 6,
    /// `oifname`: where it goes out.
    OutputInterface = 7,
    /// `nfproto`: 2 for IPv4.
    Protocol = 15,
}

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This table lets it pass.
    Accept,
    /// It is gone, whatever other tables say.
    Drop,
    /// Go on in another chain and come back.
    Jump(String),
}

/// One step of a rule. A rule ends at the first step that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Load a fact into a register.
    Meta(Meta, Register),
    /// Load the source address of an IPv4 packet into register 1.
    SourceAddress,
    /// The connection is known and this packet belongs to it (`ct state`), any of the given bits.
    ConnectionState(u32),
    /// Register 1 equals these bytes.
    Equal(Vec<u8>),
    /// The value that begins in register 1 is in a set, or is not.
    InSet(&'static str, bool),
    /// Count packets and bytes.
    Counter,
    /// `masquerade`: give the packet the address of the interface it leaves by.
    Masquerade,
    /// End with a verdict.
    Verdict(Verdict),
    /// One of somebody else's that we have no use for.
    Other,
}

pub(super) fn data(message: &mut Message<'_>, kind: u16, value: &[u8]) {
    message.nested(kind, |inner| {
        inner.bytes(NFTA_DATA_VALUE, value);
    });
}

impl Expression {
    pub(super) fn write(&self, list: &mut Message<'_>) {
        let one = Register::One as u32;
        match self {
            Expression::Meta(key, register) => step(list, "meta", |data| {
                data.u32_be(NFTA_META_KEY, *key as u32)
                    .u32_be(NFTA_META_DREG, *register as u32);
            }),
            Expression::SourceAddress => step(list, "payload", |data| {
                data.u32_be(NFTA_PAYLOAD_DREG, one)
                    .u32_be(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER)
                    .u32_be(NFTA_PAYLOAD_OFFSET, 12)
                    .u32_be(NFTA_PAYLOAD_LEN, 4);
            }),
            Expression::ConnectionState(bits) => {
                step(list, "ct", |data| {
                    data.u32_be(NFTA_CT_KEY, NFT_CT_STATE)
                        .u32_be(NFTA_CT_DREG, one);
                });
                step(list, "bitwise", |inner| {
                    inner
                        .u32_be(NFTA_BITWISE_SREG, one)
                        .u32_be(NFTA_BITWISE_DREG, one);
                    inner.u32_be(NFTA_BITWISE_LEN, 4);
                    data(inner, NFTA_BITWISE_MASK, &bits.to_ne_bytes());
                    data(inner, NFTA_BITWISE_XOR, &[0; 4]);
                });
                compare(list, false, &[0; 4]);
            }
            Expression::Equal(bytes) => compare(list, true, bytes),
            Expression::InSet(set, inside) => step(list, "lookup", |data| {
                data.u32_be(NFTA_LOOKUP_SREG, one)
                    .string(NFTA_LOOKUP_SET, set);
                if !inside {
                    data.u32_be(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
                }
            }),
            Expression::Counter => step(list, "counter", |_| {}),
            Expression::Masquerade => step(list, "masq", |_| {}),
            Expression::Verdict(verdict) => step(list, "immediate", |data| {
                data.u32_be(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT).nested(
                    NFTA_IMMEDIATE_DATA,
                    |value| {
                        value.nested(NFTA_DATA_VERDICT, |inner| verdict.write(inner));
                    },
                );
            }),
            Expression::Other => {}
        }
    }

    /// Reads those that [`crate::docker`] looks for in other people's rules.
    pub(super) fn parse(attributes: Attributes<'_>) -> Expression {
        let data = attributes.nested(NFTA_EXPR_DATA);
        let parsed = match attributes.string(NFTA_EXPR_NAME) {
            Some("meta") => match data.u32_be(NFTA_META_KEY) {
                Some(6) => Some(Expression::Meta(Meta::InputInterface, Register::One)),
                Some(7) => Some(Expression::Meta(Meta::OutputInterface, Register::One)),
                _ => None,
            },
            // Operator 0 is "equals".
            Some("cmp") if data.u32_be(NFTA_CMP_OP) == Some(0) => data
                .nested(NFTA_CMP_DATA)
                .get(NFTA_DATA_VALUE)
                .map(|value| Expression::Equal(value.to_vec())),
            Some("counter") => Some(Expression::Counter),
            Some("immediate") => {
                Verdict::parse(data.nested(NFTA_IMMEDIATE_DATA).nested(NFTA_DATA_VERDICT))
                    .map(Expression::Verdict)
            }
            _ => None,
        };
        parsed.unwrap_or(Expression::Other)
    }
}

fn step(list: &mut Message<'_>, name: &str, content: impl FnOnce(&mut Message<'_>)) {
    list.nested(NFTA_LIST_ELEM, |item| {
        item.string(NFTA_EXPR_NAME, name)
            .nested(NFTA_EXPR_DATA, |data| content(data));
    });
}

fn compare(list: &mut Message<'_>, equal: bool, bytes: &[u8]) {
    step(list, "cmp", |inner| {
        inner
            .u32_be(NFTA_CMP_SREG, Register::One as u32)
            .u32_be(NFTA_CMP_OP, u32::from(!equal));
        data(inner, NFTA_CMP_DATA, bytes);
    });
}

impl Verdict {
    fn write(&self, data: &mut Message<'_>) {
        match self {
            Verdict::Accept => data.u32_be(NFTA_VERDICT_CODE, NF_ACCEPT),
            Verdict::Drop => data.u32_be(NFTA_VERDICT_CODE, NF_DROP),
            Verdict::Jump(chain) => data
                .u32_be(NFTA_VERDICT_CODE, NFT_JUMP)
                .string(NFTA_VERDICT_CHAIN, chain),
        };
    }

    fn parse(attributes: Attributes<'_>) -> Option<Verdict> {
        match attributes.u32_be(NFTA_VERDICT_CODE)? {
            NF_ACCEPT => Some(Verdict::Accept),
            NF_DROP => Some(Verdict::Drop),
            NFT_JUMP => Some(Verdict::Jump(
                attributes.string(NFTA_VERDICT_CHAIN)?.to_owned(),
            )),
            _ => None,
        }
    }
}
