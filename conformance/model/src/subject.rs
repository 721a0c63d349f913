//! Something that sequences run on: an engine, or in tests a thing that only behaves like one.

use serde_json::Value;

use crate::operation::Step;

/// The key under which an answer or an observation says why there is none.
pub const NO_ANSWER: &str = "no answer";

/// An engine as the fuzzer sees it. All answers are normalised already, so that two of them can be compared.
pub trait Subject: Send {
    /// Makes ready for a sequence; what it makes carries this tag.
    ///
    /// # Errors
    /// When the engine cannot be used at all.
    fn begin(&mut self, tag: &str) -> anyhow::Result<()>;

    /// Does a step and says what the clients were answered. An engine that does not answer says that here.
    fn act(&mut self, step: &Step) -> Value;

    /// Waits until the sequence's containers have come to rest and says what can be seen of them.
    fn observe(&mut self) -> Value;

    /// Removes everything that the sequence made.
    ///
    /// # Errors
    /// When something of it is left.
    fn end(&mut self) -> anyhow::Result<()>;
}
