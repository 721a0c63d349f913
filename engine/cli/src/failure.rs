//! How a command ends when it does not end well: a text for stderr and an exit code.

use std::io;

/// A command's exit code, or why there is none.
pub type Outcome = Result<u8, Failure>;

/// The end of a command that failed.
#[derive(Debug)]
pub struct Failure {
    /// For stderr; nothing is printed where it is empty (it was said already).
    pub text: String,
    /// The exit code.
    pub code: u8,
    /// No engine answered: the one case that a hint can help with.
    pub unreachable: bool,
}

impl Failure {
    /// A text, and exit code 1.
    pub fn new(text: impl Into<String>) -> Failure {
        Failure {
            text: text.into(),
            code: 1,
            unreachable: false,
        }
    }

    /// An exit code alone.
    pub fn silent(code: u8) -> Failure {
        Failure {
            text: String::new(),
            code,
            unreachable: false,
        }
    }

    /// The same with another exit code.
    pub fn code(mut self, code: u8) -> Failure {
        self.code = code;
        self
    }
}

impl From<drydock_client::Error> for Failure {
    fn from(error: drydock_client::Error) -> Failure {
        let mut failure = Failure::new(error.to_string());
        failure.unreachable = error.is_connect();
        failure
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        // A reader that went away (`docker ps | head -1`) ends a Go program by SIGPIPE, without a word.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::silent(141);
        }
        Failure::new(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::new(text)
    }
}

/// `open /x: no such file or directory`: an error in the words that Go programs use.
pub fn go_error(operation: &str, path: &str, error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_string(),
        io::ErrorKind::PermissionDenied => "permission denied".to_string(),
        io::ErrorKind::IsADirectory => "is a directory".to_string(),
        io::ErrorKind::NotADirectory => "not a directory".to_string(),
        io::ErrorKind::AlreadyExists => "file exists".to_string(),
        _ => error.to_string(),
    };
    format!("{operation} {path}: {text}")
}
