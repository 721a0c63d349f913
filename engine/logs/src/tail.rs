//! Finds where the last n records of a file begin, reading from its end.
//!
//! `docker logs --tail 10` on a log of a gigabyte must not read a gigabyte. Records are counted only if they
//! can be read: a damaged one does not use up a place.

use std::{fs::File, io, os::unix::fs::FileExt};

use crate::{
    Skipped, local,
    plan::Format,
    rotation::Opened,
    scan::{MAX_RECORD, Scanner, last_record},
};

const BLOCK: u64 = 64 * 1024;

/// Where to begin, and how many records are from there to `end`.
struct Start {
    /// Offset of the first byte of a line.
    offset: u64,
    /// At most what was wanted; fewer if the file holds fewer.
    records: u64,
}

/// Makes a scanner that gives the last `wanted` records among the first `end` bytes of a file, and tells how many
/// these are.
pub(crate) fn scanner(
    file: Opened,
    format: Format,
    end: u64,
    wanted: u64,
) -> io::Result<(Scanner, u64)> {
    let plain = match file {
        Opened::Compressed(mut file) => {
            // Not to be read backwards: counted first, then read up to the place.
            let mut scanner = Scanner::new(Opened::Compressed(file), format, 0);
            let all = count(&mut scanner, u64::MAX, u64::MAX)?;
            file = match scanner.into_file() {
                Opened::Compressed(file) => file,
                plain @ Opened::Plain(_) => return Ok((Scanner::new(plain, format, 0), all)),
            };
            file.rewind()?;
            let mut scanner = Scanner::new(Opened::Compressed(file), format, 0);
            count(&mut scanner, u64::MAX, all.saturating_sub(wanted))?;
            return Ok((scanner, all.min(wanted)));
        }
        Opened::Plain(file) => file,
    };
    let start = match format {
        Format::Json => find(&plain, end, wanted)?,
        Format::Local => match find_message(&plain, end, wanted)? {
            Some(start) => start,
            None => return forwards(plain, end, wanted),
        },
    };
    let scanner = Scanner::new(Opened::Plain(plain), format, start.offset);
    Ok((scanner, start.records))
}

/// Reads at most `most` records and tells how many there were.
fn count(scanner: &mut Scanner, limit: u64, most: u64) -> io::Result<u64> {
    let mut records = 0;
    while records < most && scanner.next(limit, &mut Skipped::default())?.is_some() {
        records += 1;
    }
    Ok(records)
}

/// Walks back by the lengths at the ends of records of `local`. None where they lead nowhere: a file that is
/// damaged, or ends in half a record.
fn find_message(file: &File, end: u64, wanted: u64) -> io::Result<Option<Start>> {
    const LENGTH: u64 = local::LENGTH as u64;
    let (mut offset, mut records) = (end, 0);
    while records < wanted && offset > 0 {
        let Some(footer) = offset.checked_sub(LENGTH) else {
            return Ok(None);
        };
        let Some(length) = local::length_at(&read_range(file, footer, offset)?, 0) else {
            return Ok(None);
        };
        let Some(start) = footer.checked_sub(LENGTH + length as u64) else {
            return Ok(None);
        };
        let too_long = length > MAX_RECORD;
        if too_long
            || !matches!(
                local::decode(&read_range(file, start, offset)?),
                local::Found::Record(..)
            )
        {
            return Ok(None);
        }
        (offset, records) = (start, records + 1);
    }
    Ok(Some(Start { offset, records }))
}

/// The way of a damaged file: counted from its beginning, over the damage.
fn forwards(file: File, end: u64, wanted: u64) -> io::Result<(Scanner, u64)> {
    let again = file.try_clone()?;
    let mut scanner = Scanner::new(Opened::Plain(file), Format::Local, 0);
    let all = count(&mut scanner, end, u64::MAX)?;
    let mut scanner = Scanner::new(Opened::Plain(again), Format::Local, 0);
    count(&mut scanner, end, all.saturating_sub(wanted))?;
    Ok((scanner, all.min(wanted)))
}

/// Looks for the last `wanted` records among the first `end` bytes of a file of `json-file`.
fn find(file: &File, end: u64, wanted: u64) -> io::Result<Start> {
    let mut records = 0;
    // End of the line under examination: the offset of its newline. None until the last newline is found;
    // what follows that is still being written, or torn, and no record yet.
    let mut line_end: Option<u64> = None;
    let mut block_end = end;
    while block_end > 0 {
        let block_start = block_end.saturating_sub(BLOCK);
        let block = read_range(file, block_start, block_end)?;
        for at in memchr::memrchr_iter(b'\n', &block) {
            let newline = block_start + at as u64;
            if let Some(line_end) = line_end {
                records += u64::from(holds_record(
                    file,
                    newline + 1,
                    line_end,
                    &block,
                    block_start,
                )?);
            }
            if records == wanted {
                return Ok(Start {
                    offset: newline + 1,
                    records,
                });
            }
            line_end = Some(newline);
        }
        if block_start == 0
            && let Some(line_end) = line_end
        {
            records += u64::from(holds_record(file, 0, line_end, &block, 0)?);
        }
        block_end = block_start;
    }
    Ok(Start { offset: 0, records })
}

/// Whether the line from `start` to `end` holds a record. It usually lies in the block at hand.
fn holds_record(
    file: &File,
    start: u64,
    end: u64,
    block: &[u8],
    block_start: u64,
) -> io::Result<bool> {
    let within = |offset: u64| {
        offset
            .checked_sub(block_start)
            .and_then(|at| usize::try_from(at).ok())
    };
    if let (Some(from), Some(to)) = (within(start), within(end))
        && let Some(line) = block.get(from..to)
    {
        return Ok(last_record(line).is_some());
    }
    // A record at the end of a long damaged stretch is found without reading the stretch.
    let start = start.max(end.saturating_sub(MAX_RECORD as u64));
    Ok(last_record(&read_range(file, start, end)?).is_some())
}

fn read_range(file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(end - start).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], start + filled as u64) {
            // Cut short by someone in the meantime: what is gone counts as damage.
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
