//! Options against the texts of a Docker 28.5.
