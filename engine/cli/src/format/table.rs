//! Columns, aligned as Go's text/tabwriter does with Docker's settings: at least 10 wide, 3 blanks between.

const LEAST_WIDTH: usize = 10;
const PADDING: usize = 3;

/// Aligns lines whose cells end with a tab. The text behind the last tab is in no column.
pub fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let mut result = String::new();
    block(&lines, &mut Vec::new(), &mut result);
    result
}

/// A column reaches over neighbouring lines that have a cell in it; `widths` are those of the columns left
/// of it. Each such block of lines is laid out with its own width.
fn block(lines: &[Vec<&str>], widths: &mut Vec<usize>, result: &mut String) {
    let column = widths.len();
    let has_cell = |line: &Vec<&str>| column + 1 < line.len();
    let mut start = 0;
    while start < lines.len() {
        let end = start
            + lines[start..]
                .iter()
                .take_while(|line| has_cell(line))
                .count();
        if end == start {
            write_line(&lines[start], widths, result);
            start += 1;
            continue;
        }
        let cells = lines[start..end]
            .iter()
            .map(|line| line[column].chars().count() + PADDING);
        widths.push(cells.max().unwrap_or(0).max(LEAST_WIDTH));
        block(&lines[start..end], widths, result);
        widths.pop();
        start = end;
    }
}

fn write_line(line: &[&str], widths: &[usize], result: &mut String) {
    for (position, cell) in line.iter().enumerate() {
        result.push_str(cell);
        let width = widths.get(position).copied().unwrap_or(0);
        result.push_str(&" ".repeat(width.saturating_sub(cell.chars().count())));
    }
    result.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_docker_wide() {
        assert_eq!(
            align("ID\tIMAGE\tNAMES\nabc\tbusybox\tweb\n0123456789ab\tx\t\n"),
            "ID             IMAGE     NAMES\nabc            busybox   web\n0123456789ab   x         \n"
        );
        assert_eq!(
            align("a\tb\nwithout cells\nlonger than ten\tb\n"),
            "a         b\nwithout cells\nlonger than ten   b\n"
        );
    }
}
