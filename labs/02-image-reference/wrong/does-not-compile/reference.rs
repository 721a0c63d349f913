//! A syntax error.
pub struct Reference {
