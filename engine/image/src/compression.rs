//! Compressed archives: gzip (RFC 1952), zstd (RFC 8878) and xz, told apart by their first bytes.
//!
//! Nobody declares the compression reliably: `docker load` and `docker import` take whatever comes on stdin,
//! and media types in manifests are wrong often enough. So the magic number decides, as in Docker.
//!
//! A decompressor is the first thing that hostile bytes meet, and it runs in the daemon. All three are Rust
//! without `unsafe` interfaces, their windows are bounded, and [`Bounded`] stops a bomb: a file of a few
//! kilobytes that unpacks to terabytes.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The most memory that an xz dictionary may take, in KiB. `xz -9` needs 64 MiB.
const XZ_MEMORY_KIB: u32 = 128 * 1024;

/// An input may always unpack to this much, whatever its size.
const RATIO_FREE_BYTES: u64 = 256 << 20;

/// Beyond that, one byte of input may become this many of output. gzip cannot exceed 1,032; real file
/// systems stay below 100 even when they are mostly zeros.
const RATIO_MAX: u64 = 4096;

/// A reader of the decompressed bytes of `source`; one that is not compressed passes through.
pub(crate) fn decompress<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut source = BufReader::with_capacity(
        128 << 10,
        Counted {
            inner: source,
            count: 0,
        },
    );
    let head = source.fill_buf()?;
    let head = head[..head.len().min(10)].to_vec();
    if head.starts_with(&[0x1f, 0x8b, 0x08]) {
        return Ok(Box::new(Bounded {
            produced: 0,
            decoder: Gzip(MultiGzDecoder::new(source)),
        }));
    }
    // 0x184D2A50 to 5F are skippable frames, which may come first.
    let skippable = head.get(1..4) == Some(&[0x2a, 0x4d, 0x18]) && head[0] & 0xf0 == 0x50;
    if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || skippable {
        return Ok(Box::new(Bounded {
            produced: 0,
            decoder: Zstd::new(source),
        }));
    }
    if head.starts_with(b"\xfd7zXZ\0") {
        let decoder = Xz(XzReader::new_mem_limit(source, true, XZ_MEMORY_KIB));
        return Ok(Box::new(Bounded {
            produced: 0,
            decoder,
        }));
    }
    if head.starts_with(b"BZh") && head.get(4..10) == Some(&[0x31, 0x41, 0x59, 0x26, 0x53, 0x59]) {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the archive is compressed with bzip2, which is not supported\nhint: pipe it through bunzip2 first",
        ));
    }
    Ok(Box::new(source))
}

/// Counts what was read of the compressed input. The first read is completed to 16 bytes, so that the
/// magic number is never cut in two.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let least = if self.count == 0 {
            buffer.len().min(16)
        } else {
            buffer.len().min(1)
        };
        let mut length = 0;
        while length < least {
            match self.inner.read(&mut buffer[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.count += length as u64;
        Ok(length)
    }
}

/// A decompressor that can say how much input it has taken.
trait Decoder: Read {
    fn consumed(&self) -> u64;
}

/// Ends a decompression whose output is out of all proportion to its input.
struct Bounded<D> {
    produced: u64,
    decoder: D,
}

impl<D: Decoder> Read for Bounded<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer).map_err(in_our_words)?;
        self.produced += count as u64;
        if self.produced > RATIO_FREE_BYTES.max(self.decoder.consumed().saturating_mul(RATIO_MAX)) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the archive expands to more than {RATIO_MAX} times its size"),
            ));
        }
        Ok(count)
    }
}

/// Each library has its own text for an input that ends too early; Docker has one.
fn in_our_words(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        crate::tape::cut()
    } else {
        error
    }
}

struct Gzip<R>(MultiGzDecoder<BufReader<Counted<R>>>);

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Decoder for Gzip<R> {
    fn consumed(&self) -> u64 {
        self.0.get_ref().get_ref().count
    }
}

struct Xz<R: Read>(XzReader<BufReader<Counted<R>>>);

impl<R: Read> Read for Xz<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Decoder for Xz<R> {
    fn consumed(&self) -> u64 {
        self.0.inner().get_ref().count
    }
}

/// zstd files are sequences of frames, some of which are to be skipped; the library decodes one frame.
struct Zstd<R> {
    source: BufReader<Counted<R>>,
    decoder: FrameDecoder,
    within_frame: bool,
}

impl<R: Read> Zstd<R> {
    fn new(source: BufReader<Counted<R>>) -> Self {
        Zstd {
            source,
            decoder: FrameDecoder::new(),
            within_frame: false,
        }
    }

    /// Starts the next frame; false at the end of the input.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let frame = &mut self.source.by_ref().take(length.into());
                    if io::copy(frame, &mut io::sink())? < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(zstd_error(error)),
            }
        }
        Ok(false)
    }

    /// The checksum at the end of a frame, where there is one.
    fn check(&self) -> io::Result<()> {
        match self.decoder.get_checksum_from_data() {
            Some(checksum) if self.decoder.get_calculated_checksum() != Some(checksum) => {
                Err(invalid("the checksum of a zstd frame is wrong"))
            }
            _ => Ok(()),
        }
    }
}

/// An error of the zstd library, which hides that of the reader deep inside.
fn zstd_error(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        match inner.downcast_ref::<io::Error>() {
            Some(read) if read.kind() == io::ErrorKind::UnexpectedEof => return crate::tape::cut(),
            _ => cause = inner.source(),
        }
    }
    invalid(error)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.within_frame {
                while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                    // One block at a time: at most 128 KiB.
                    let strategy = BlockDecodingStrategy::UptoBlocks(1);
                    self.decoder
                        .decode_blocks(&mut self.source, strategy)
                        .map_err(zstd_error)?;
                }
                let count = self.decoder.read(buffer)?;
                if count > 0 || buffer.is_empty() {
                    return Ok(count);
                }
                self.check()?;
            }
            self.within_frame = self.next_frame()?;
            if !self.within_frame {
                return Ok(0);
            }
        }
    }
}

impl<R: Read> Decoder for Zstd<R> {
    fn consumed(&self) -> u64 {
        self.source.get_ref().count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut output = Vec::new();
        decompress(bytes)?.read_to_end(&mut output)?;
        Ok(output)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// "hello\n" by `zstd` and `xz`.
    const ZSTD: &[u8] = &[
        0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x31, 0x00, 0x00, b'h', b'e', b'l', b'l', b'o', b'\n',
        0x53, 0x88, 0xbd, 0x91,
    ];

    const XZ: &[u8] =
        b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F\x02\0!\x01\x16\0\0\0t/\xe5\xa3\x01\0\x05hello\n\0\0\0\
        \xa5`\x97\xf1\x94\xf6\xfd\xe0\0\x01\x1e\x06\xc1/\xa4\x1d\x1f\xb6\xf3}\x01\0\0\0\0\x04YZ";

    #[test]
    fn xz_is_read_and_checked() {
        assert_eq!(unpacked(XZ).unwrap(), b"hello\n");
        assert_eq!(
            unpacked(&XZ[..XZ.len() - 20]).unwrap_err().to_string(),
            "unexpected EOF"
        );
        let mut wrong = XZ.to_vec();
        wrong[30] ^= 1;
        assert!(unpacked(&wrong).is_err());
    }

    #[test]
    fn what_is_not_compressed_passes() {
        for plain in [
            &b""[..],
            b"x",
            b"BZh",
            b"hello world, hello world",
            &[0x1f],
            b"\x1f\x8bx",
        ] {
            assert_eq!(unpacked(plain).unwrap(), plain);
        }
    }

    #[test]
    fn gzip_members_follow_each_other() {
        let both = [gzip(b"hello "), gzip(b"world")].concat();
        assert_eq!(unpacked(&both).unwrap(), b"hello world");
    }

    #[test]
    fn damage_in_gzip_is_found() {
        let whole = gzip(&b"hello".repeat(1000));
        for length in [5, 20, whole.len() - 9, whole.len() - 3] {
            assert_eq!(
                unpacked(&whole[..length]).unwrap_err().to_string(),
                "unexpected EOF",
                "{length}"
            );
        }
        let mut wrong = whole.clone();
        let checksum = wrong.len() - 6;
        wrong[checksum] ^= 1;
        assert!(unpacked(&wrong).is_err());
    }

    #[test]
    fn zstd_frames_follow_each_other() {
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0], &b"xyz"[..]].concat();
        assert_eq!(unpacked(ZSTD).unwrap(), b"hello\n");
        assert_eq!(
            unpacked(&[&skippable, ZSTD, &skippable, ZSTD].concat()).unwrap(),
            b"hello\nhello\n"
        );
        assert!(unpacked(&[ZSTD, &skippable[..9]].concat()).is_err());
        for length in [7, 12, ZSTD.len() - 2] {
            assert_eq!(
                unpacked(&ZSTD[..length]).unwrap_err().to_string(),
                "unexpected EOF",
                "{length}"
            );
        }
        let mut wrong = ZSTD.to_vec();
        wrong[10] ^= 1;
        assert!(
            unpacked(&wrong)
                .unwrap_err()
                .to_string()
                .contains("checksum")
        );
    }

    #[test]
    fn one_byte_at_a_time_is_recognised() {
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = buffer.len().min(1);
                self.0.read(&mut buffer[..count])
            }
        }
        let mut output = Vec::new();
        decompress(Slow(&gzip(b"hello")))
            .unwrap()
            .read_to_end(&mut output)
            .unwrap();
        assert_eq!(output, b"hello");
    }

    #[test]
    fn bzip2_is_named() {
        let error = unpacked(b"BZh91AY&SY\0\0").unwrap_err();
        assert!(error.to_string().contains("bzip2"), "{error}");
    }

    #[test]
    fn a_bomb_is_stopped() {
        /// Gives zeros for ever from next to no input.
        struct Bomb;
        impl Read for Bomb {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                Ok(buffer.len())
            }
        }
        impl Decoder for Bomb {
            fn consumed(&self) -> u64 {
                1000
            }
        }
        let mut bounded = Bounded {
            produced: 0,
            decoder: Bomb,
        };
        let error = io::copy(&mut bounded, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("expands"), "{error}");
        assert!(bounded.produced <= RATIO_FREE_BYTES + (1 << 20));
    }
}
