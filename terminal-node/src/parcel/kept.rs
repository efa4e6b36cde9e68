//! Which parcels are outstanding, in a file beside the database.
//!
//! It is written before what follows from it is done. So a crash in between, or a file that is
//! lost, has one effect only: answers that could be taken are not, and another parcel asks again.

use std::io::{self, Read as _};
use std::path::PathBuf;

use counterfoil_protocol::wire::parcel::Outstanding;

use crate::witness::write_atomically;

/// A line has 16 digits.
const FILE_BYTES_MAX: u64 = 17 * 2 * Outstanding::MAX as u64;

/// The outstanding parcels of a till, and the file that has them, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    place: Option<PathBuf>,
    outstanding: Outstanding,
}

impl Kept {
    /// Reads the file. What cannot be read is outstanding no more.
    pub(crate) fn at(place: PathBuf) -> Self {
        let outstanding = match read(&place) {
            Ok(numbers) => Outstanding::new(numbers),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Outstanding::default(),
            Err(error) => {
                tracing::warn!(%error, "the list of parcels cannot be read: write them again");
                Outstanding::default()
            }
        };
        Self { place: Some(place), outstanding }
    }

    pub(crate) fn written(&mut self, number: u64) -> io::Result<()> {
        self.change(|outstanding| outstanding.written(number))
    }

    pub(crate) fn takes(&mut self, number: u64) -> io::Result<bool> {
        self.change(|outstanding| outstanding.takes(number))
    }

    pub(crate) fn overtaken(&mut self) -> io::Result<bool> {
        if self.outstanding.numbers().is_empty() {
            return Ok(false); // the usual case, at each greeting
        }
        self.change(Outstanding::overtaken)
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Outstanding) -> T) -> io::Result<T> {
        let mut changed = self.outstanding.clone();
        let told = change(&mut changed);
        if let Some(place) = self.place.as_ref().filter(|_| changed != self.outstanding) {
            let lines = changed.numbers().iter().map(|number| format!("{number:016x}\n"));
            write_atomically(place, lines.collect::<String>().as_bytes(), 0o600)?;
        }
        self.outstanding = changed;
        Ok(told)
    }
}

fn read(place: &PathBuf) -> io::Result<Vec<u64>> {
    let mut text = String::new();
    std::fs::File::open(place)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    let number = |line: &str| u64::from_str_radix(line, 16).map_err(io::Error::other);
    text.lines().map(number).collect()
}
