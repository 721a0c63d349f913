//! Flags as Docker's users know them: the grammar of Go's `pflag`, which the stock client is built on.
//!
//! A table and one short parser instead of `clap`, for two reasons. The grammar is not clap's: `--rm=false`,
//! `-it` clusters whose last letter takes a value, flags that stop at the first positional word of `run`,
//! `-h` that means `--hostname` in one command and help in another, and error texts that scripts match on.
//! And the tables are `const`: choosing a command builds nothing, so a `run` does not pay for the forty
//! commands it is not.
//!
//! Each flag is declared once; the parser, the help page and the tests read that declaration.

pub mod help;
mod parse;
pub mod values;

pub use parse::{Matches, UsageError, parse};

/// One flag.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Without the dashes.
    pub long: &'static str,
    /// The letter of the short form.
    pub short: Option<char>,
    /// What its value is.
    pub kind: Kind,
    /// The value where the user gives none; also shown by the help page, in `pflag`'s rules.
    pub default: &'static str,
    /// One plain sentence without a full stop.
    pub help: &'static str,
    /// Understood, but not on the help page: what is for other systems only.
    pub hidden: bool,
}

/// What a flag's value is. The name that the help page shows follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Present or not; `--flag=false` is possible.
    Bool,
    /// Any text.
    Text,
    /// A signed 64-bit number.
    Int,
    /// An unsigned 16-bit number.
    Uint16,
    /// An unsigned 64-bit number.
    Uint,
    /// `512m`, `1g`.
    Bytes,
    /// Like bytes, and `-1`.
    SwapBytes,
    /// `1.5`, kept as nanoseconds of CPU time a second.
    Cpus,
    /// `1m30s`.
    Duration,
    /// May be given more than once; checked by the function where there is one.
    List(Check),
    /// Like a list, each `key=value`; shown as `map`.
    Map(Check),
    /// Like a list; shown under a name of its own.
    Named(&'static str, Check),
}

/// Tells what is wrong with a value.
#[derive(Clone, Copy)]
pub struct Check(pub fn(&str) -> Result<(), String>);

impl Check {
    /// Everything is right.
    pub const ANY: Check = Check(|_| Ok(()));
}

impl std::fmt::Debug for Check {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Check")
    }
}

impl PartialEq for Check {
    fn eq(&self, other: &Check) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Eq for Check {}

impl Kind {
    /// The word for the value on the help page.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Bool => "",
            Kind::Text => "string",
            Kind::Int => "int",
            Kind::Uint16 => "uint16",
            Kind::Uint => "uint",
            Kind::Bytes | Kind::SwapBytes => "bytes",
            Kind::Cpus => "decimal",
            Kind::Duration => "duration",
            Kind::List(_) => "list",
            Kind::Map(_) => "map",
            Kind::Named(name, _) => name,
        }
    }

    /// Checks one value; the text of the error is what stands behind `invalid argument … for … flag: `.
    pub fn check(self, value: &str) -> Result<(), String> {
        match self {
            Kind::Bool => values::boolean(value).map(drop),
            Kind::Text => Ok(()),
            Kind::Int => values::integer(value).map(drop),
            Kind::Uint16 => values::unsigned(value, 16).map(drop),
            Kind::Uint => values::unsigned(value, 64).map(drop),
            Kind::Bytes => values::bytes(value).map(drop),
            Kind::SwapBytes => values::swap_bytes(value).map(drop),
            Kind::Cpus => values::nano_cpus(value).map(drop),
            Kind::Duration => values::duration_nanos(value).map(drop),
            Kind::List(check) | Kind::Map(check) | Kind::Named(_, check) => (check.0)(value),
        }
    }
}

impl Flag {
    const fn new(long: &'static str, short: Option<char>, kind: Kind, help: &'static str) -> Flag {
        Flag {
            long,
            short,
            kind,
            default: "",
            help,
            hidden: false,
        }
    }

    /// A switch.
    pub const fn switch(long: &'static str, help: &'static str) -> Flag {
        Flag::new(long, None, Kind::Bool, help)
    }

    /// A single text.
    pub const fn text(long: &'static str, help: &'static str) -> Flag {
        Flag::new(long, None, Kind::Text, help)
    }

    /// Texts, one each time it is given.
    pub const fn list(long: &'static str, help: &'static str) -> Flag {
        Flag::new(long, None, Kind::List(Check::ANY), help)
    }

    /// A number.
    pub const fn int(long: &'static str, help: &'static str) -> Flag {
        Flag::new(long, None, Kind::Int, help)
    }

    /// Any other kind.
    pub const fn of(kind: Kind, long: &'static str, help: &'static str) -> Flag {
        Flag::new(long, None, kind, help)
    }

    /// Adds the short form.
    pub const fn short(mut self, letter: char) -> Flag {
        self.short = Some(letter);
        self
    }

    /// Leaves the flag out of the help page.
    pub const fn hidden(mut self) -> Flag {
        self.hidden = true;
        self
    }

    /// Sets the default.
    pub const fn default(mut self, value: &'static str) -> Flag {
        self.default = value;
        self
    }
}
