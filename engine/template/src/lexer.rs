//! Cuts a template into text and the words of its actions.

/// A word, and where it begins (bytes from the start of the template).
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub(super) kind: Kind,
    pub(super) position: usize,
    /// White space stood before it: `.a .b` is two arguments, `.a.b` one.
    pub(super) spaced: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Outside of actions.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// `.name`
    Field(String),
    /// `.` alone
    Dot,
    /// `$` or `$name`
    Variable(String),
    /// A keyword or a function.
    Word(String),
    /// A string constant.
    Quoted(String),
    /// A number, not yet read.
    Number(String),
    /// `( ) | , := =`
    Sign(&'static str),
}

/// All words, or what is wrong.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, String> {
    let mut list = Vec::new();
    let mut rest = 0;
    let mut trim_next = false;
    while rest < source.len() {
        let open = source[rest..].find("{{").map(|found| rest + found);
        let end = open.unwrap_or(source.len());
        let mut text = &source[rest..end];
        if trim_next {
            text = text.trim_start();
        }
        let Some(open) = open else {
            push_text(&mut list, text, rest);
            break;
        };
        let inside = &source[open + 2..];
        let trims =
            inside.starts_with("- ") || inside.starts_with("-\n") || inside.starts_with("-\t");
        push_text(&mut list, if trims { text.trim_end() } else { text }, rest);
        let start = open + 2 + usize::from(trims);
        if source[start..].trim_start().starts_with("/*") {
            let close = source[start..].find("*/").ok_or("unclosed comment")?;
            let behind = source[start + close + 2..].trim_start();
            trim_next = behind.starts_with("-}}");
            let skipped = behind.strip_prefix('-').unwrap_or(behind);
            let skipped = skipped
                .strip_prefix("}}")
                .ok_or("comment ends before closing delimiter")?;
            rest = source.len() - skipped.len();
            continue;
        }
        list.push(Token {
            kind: Kind::Open,
            position: open,
            spaced: false,
        });
        (rest, trim_next) = action(source, start, &mut list)?;
    }
    Ok(list)
}

fn push_text(list: &mut Vec<Token>, text: &str, position: usize) {
    if !text.is_empty() {
        list.push(Token {
            kind: Kind::Text(text.to_string()),
            position,
            spaced: false,
        });
    }
}

/// The words of one action; returns where it ends and whether it trims what follows.
fn action(source: &str, start: usize, list: &mut Vec<Token>) -> Result<(usize, bool), String> {
    let mut at = start;
    let mut spaced = false;
    loop {
        let rest = &source[at..];
        let Some(first) = rest.chars().next() else {
            return Err("unclosed action".to_string());
        };
        let trims = spaced && rest.starts_with("-}}");
        if trims || rest.starts_with("}}") {
            list.push(Token {
                kind: Kind::Close,
                position: at,
                spaced,
            });
            return Ok((at + 2 + usize::from(trims), trims));
        }
        if first.is_whitespace() {
            at += first.len_utf8();
            spaced = true;
            continue;
        }
        let (kind, length) = word(rest, first)?;
        list.push(Token {
            kind,
            position: at,
            spaced,
        });
        at += length;
        spaced = false;
    }
}

fn word(rest: &str, first: char) -> Result<(Kind, usize), String> {
    let name_length = |text: &str| {
        text.find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len())
    };
    Ok(match first {
        '(' => (Kind::Sign("("), 1),
        ')' => (Kind::Sign(")"), 1),
        '|' => (Kind::Sign("|"), 1),
        ',' => (Kind::Sign(","), 1),
        '=' => (Kind::Sign("="), 1),
        ':' if rest.starts_with(":=") => (Kind::Sign(":="), 2),
        '"' => {
            let end = quoted_end(rest).ok_or("unterminated quoted string")?;
            (Kind::Quoted(unquote(&rest[1..end])?), end + 1)
        }
        '`' => {
            let end = rest[1..]
                .find('`')
                .ok_or("unterminated raw quoted string")?
                + 1;
            (Kind::Quoted(rest[1..end].to_string()), end + 1)
        }
        '\'' => {
            let end = rest[1..]
                .find('\'')
                .ok_or("unterminated character constant")?
                + 1;
            let character = unquote(&rest[1..end])?.chars().next().unwrap_or('\0');
            (Kind::Number(u32::from(character).to_string()), end + 1)
        }
        '.' => {
            let length = name_length(&rest[1..]);
            if rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
                (Kind::Number(rest[..=length].to_string()), length + 1)
            } else if length == 0 {
                (Kind::Dot, 1)
            } else {
                (Kind::Field(rest[1..=length].to_string()), length + 1)
            }
        }
        '$' => {
            let length = name_length(&rest[1..]);
            (Kind::Variable(rest[..=length].to_string()), length + 1)
        }
        '+' | '-' | '0'..='9' => {
            let length = rest[1..]
                .find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.'))
                .unwrap_or(rest.len() - 1);
            (Kind::Number(rest[..=length].to_string()), length + 1)
        }
        first if first.is_alphabetic() || first == '_' => {
            let length = name_length(rest);
            (Kind::Word(rest[..length].to_string()), length)
        }
        other => return Err(format!("unexpected {:?} in command", other.to_string())),
    })
}

/// Where the closing quote is.
fn quoted_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index),
            b'\n' => return None,
            _ => {}
        }
    }
    None
}

fn unquote(text: &str) -> Result<String, String> {
    let mut result = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            result.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => result.push('\n'),
            Some('t') => result.push('\t'),
            Some('r') => result.push('\r'),
            Some('0') => result.push('\0'),
            Some(quote @ ('\\' | '"' | '\'')) => result.push(quote),
            Some('x') => result.push(code(&mut characters, 2).ok_or("invalid syntax")?),
            Some('u') => result.push(code(&mut characters, 4).ok_or("invalid syntax")?),
            _ => return Err("invalid syntax".to_string()),
        }
    }
    Ok(result)
}

fn code(characters: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let text: String = characters.by_ref().take(digits).collect();
    char::from_u32(u32::from_str_radix(&text, 16).ok()?)
}
