//! The help page of a command, in the layout of `docker COMMAND --help`.

use super::{Flag, Kind};

/// The lines of the flags, sorted by name, wrapped to `columns` (at least 24 are left to the text).
pub fn flag_lines(flags: &[&[Flag]], columns: usize) -> String {
    let mut sorted: Vec<&Flag> = flags
        .iter()
        .flat_map(|group| group.iter())
        .filter(|flag| !flag.hidden)
        .collect();
    sorted.sort_by_key(|flag| flag.long);
    let names: Vec<String> = sorted.iter().map(|flag| name_column(flag)).collect();
    let indent = names.iter().map(String::len).max().unwrap_or(0) + 3;
    let mut page = String::new();
    for (flag, name) in sorted.iter().zip(&names) {
        let text = format!("{}{}", flag.help, default_note(flag));
        page.push_str(&format!("{name:indent$}{}\n", wrap(&text, indent, columns)));
    }
    page
}

fn name_column(flag: &Flag) -> String {
    let short = flag
        .short
        .map_or("    ".to_string(), |letter| format!("-{letter}, "));
    format!("  {short}--{} {}", flag.long, flag.kind.label())
        .trim_end()
        .to_string()
}

/// A default is shown unless it is the zero of its kind.
fn default_note(flag: &Flag) -> String {
    match flag.kind {
        _ if flag.default.is_empty() => String::new(),
        Kind::Text => format!(" (default {:?})", flag.default),
        _ => format!(" (default {})", flag.default),
    }
}

/// Breaks a text at blanks so that lines end before `columns`. A last word may stand out a little rather
/// than alone on its line.
fn wrap(text: &str, indent: usize, columns: usize) -> String {
    let width = columns.saturating_sub(indent).max(24);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut left = paragraph.len();
        for word in paragraph.split_inclusive(' ') {
            let room = if line.len() + left <= width {
                width
            } else {
                width - 5
            };
            if !line.is_empty() && line.len() + word.trim_end().len() > room {
                lines.push(std::mem::take(&mut line).trim_end().to_string());
            }
            line.push_str(word);
            left -= word.len();
        }
        lines.push(line.trim_end().to_string());
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_dockers() {
        let flags: &[&[Flag]] = &[&[
            Flag::text("signal", "Signal to send").short('s'),
            Flag::switch(
                "all",
                "A long text that has to be broken at a blank because the page is narrow",
            ),
            Flag::text("pull", "When to pull").default("missing"),
        ]];
        assert_eq!(
            flag_lines(flags, 60),
            "      --all             A long text that has to be\n\
             \x20                       broken at a blank because the\n\
             \x20                       page is narrow\n\
             \x20     --pull string     When to pull (default \"missing\")\n\
             \x20 -s, --signal string   Signal to send\n"
        );
    }
}
