//! Parcels: what a till and the cloud have to say to each other, as a file that a person carries
//! (B.19).
//!
//! A parcel holds the messages of [`message`](super::message) as they are, so it changes nothing
//! of what they mean: a parcel that is lost, late, taken twice or overtaken by a connection is a
//! message that was, and each entry counts once.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `CFPARCEL` |
//! | 1 | the version, 1 |
//! | 1 | `O`: offers of a till; `A`: answers of the cloud |
//! | 8 | the parcel's number, which its answers repeat: random, little endian |
//! | 1 + n | the terminal's name, after its length |
//! | (4 + n) times | the frames, each after its length, little endian |
//! | 32 | the seal: keyed BLAKE3 of everything before |
//!
//! The frames of a till are its `Hello` and each `Push`; those of the cloud its `Welcome`, and then
//! for each `Push` an [`Offered`] and a `PushAnswer`.
//!
//! The key of the seal is derived from the digest of the terminal's secret, which the cloud keeps
//! in its place, with a context for each direction (`derive_key` of BLAKE3). So whoever carries a
//! parcel can read it, and change nothing.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::message::{Hello, MessageError, PUSH_ITEMS_MAX, Point, Push, PushAnswer, Welcome};
use crate::codec::{self, MESSAGE_BYTES_MAX};
use crate::hash::Hash;
use crate::identity::{Epoch, TerminalId};
use crate::label::LABEL_BYTES_MAX;

/// The media type of parcels.
pub const PARCEL_TYPE: &str = "application/vnd.counterfoil.v1.parcel";
/// The most bytes of a parcel.
pub const PARCEL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most pushes in a parcel.
pub const PARCEL_PUSHES_MAX: usize = 256;

const MAGIC: &[u8; 8] = b"CFPARCEL";
const VERSION: u8 = 1;
const SEAL_BYTES: usize = size_of::<Hash>();
const LENGTH_BYTES: usize = size_of::<u32>();
/// What comes before the first frame, at most, and after the last.
const WRAPPING_BYTES_MAX: usize =
    MAGIC.len() + 2 + size_of::<u64>() + 1 + LABEL_BYTES_MAX + SEAL_BYTES;

const _: () = assert!(LABEL_BYTES_MAX <= u8::MAX as usize, "a byte counts a name");
const _: () = assert!(MESSAGE_BYTES_MAX <= u32::MAX as usize, "four bytes count a frame");
const _: () = assert!(
    WRAPPING_BYTES_MAX + 2 * (LENGTH_BYTES + MESSAGE_BYTES_MAX) <= PARCEL_BYTES_MAX,
    "any greeting and any push fit in a parcel"
);

/// What a till has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offers {
    /// The parcel's own number, see [`Outstanding`].
    pub number: u64,
    /// Where its journals stand.
    pub hello: Hello,
    /// What it offers, in the order in which the cloud takes it in.
    pub pushes: Vec<Push>,
}

/// What the cloud has to say to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// The number of the parcel that they answer.
    pub number: u64,
    /// Whom it is for.
    pub terminal: TerminalId,
    /// Where the journals stood before anything was taken in.
    pub welcome: Welcome,
    /// The answer to each push that was looked at, with what was offered.
    pub answers: Vec<(Offered, PushAnswer)>,
}

/// The parcels that a till has written and heard nothing of, the oldest first.
///
/// On a link an answer comes to whoever asked, while nothing else is said. A file may come late,
/// twice, or to a copy of the till; what it says was true once. So a till takes the answers to a
/// parcel of its own, in the order in which it wrote them, each at most once, and none after a
/// link has told it better. What is not taken costs nothing but another parcel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outstanding(Vec<u64>);

/// What a push offered. The hash of the last entry stands for it and for all before it: a till
/// whose journal has another one there is not the one that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offered {
    /// The history.
    pub epoch: Epoch,
    /// Its last entry in the push.
    pub last: Point,
}

impl Outstanding {
    /// The most parcels that a till remembers; the answers to older ones are not taken.
    pub const MAX: usize = 64;

    /// Returns what was remembered.
    #[must_use]
    pub fn new(mut numbers: Vec<u64>) -> Self {
        numbers.drain(..numbers.len().saturating_sub(Self::MAX));
        assert!(numbers.len() <= Self::MAX, "so many are remembered");
        Self(numbers)
    }

    /// Returns their numbers, the oldest first.
    #[must_use]
    pub fn numbers(&self) -> &[u64] {
        &self.0
    }

    /// Notes that a parcel is written.
    pub fn written(&mut self, number: u64) {
        self.0.push(number);
        *self = Self::new(core::mem::take(&mut self.0));
        assert_eq!(self.0.last(), Some(&number), "the newest is remembered");
    }

    /// Returns whether the answers to a parcel are to be taken, now and never again. Older ones
    /// have nothing to say from then on.
    pub fn takes(&mut self, number: u64) -> bool {
        let Some(at) = self.0.iter().rposition(|known| *known == number) else { return false };
        let before = self.0.len();
        self.0.drain(..=at);
        assert!(self.0.len() < Self::MAX, "one at least is taken");
        assert_eq!(self.0.len(), before - 1 - at, "and all that are older");
        true
    }

    /// Notes that a link has told where the cloud stands. Returns whether anything was outstanding.
    pub fn overtaken(&mut self) -> bool {
        let any = !self.0.is_empty();
        self.0.clear();
        assert!(self.0.is_empty(), "a link leaves nothing to be told by a file");
        any
    }
}

impl Offered {
    /// Returns what a push offers.
    ///
    /// # Panics
    /// If it is empty: [`Push::check`] refuses that.
    #[must_use]
    pub fn of(push: &Push) -> Self {
        let last = push.items.last().expect("a push has items");
        assert!(last.seq > 0, "a journal counts from 1");
        Self { epoch: push.epoch, last: Point { seq: last.seq, hash: last.chain_hash } }
    }
}

/// A parcel that is not taken. Nothing is changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParcelError {
    /// These bytes are no parcel, or their end is missing.
    #[error("this is no whole parcel: copy the file again")]
    Form,
    /// A parcel of a later version.
    #[error("a parcel of version {0} is not understood here: update this program")]
    Version(u8),
    /// It goes the other way.
    #[error("this parcel goes the other way: offers are for the cloud, answers for the till")]
    Direction,
    /// It is sealed with another secret, or was changed.
    #[error(
        "the seal does not fit: the file was changed, or the terminal has another credential by \
         now; write the parcel again"
    )]
    Seal,
    /// What it holds breaks a bound.
    #[error("the parcel holds a message that cannot be: {0}")]
    Message(#[from] MessageError),
    /// It holds too much.
    #[error("a parcel has at most {PARCEL_BYTES_MAX} bytes and {PARCEL_PUSHES_MAX} pushes")]
    Size,
    /// A message of another terminal is in it.
    #[error("the parcel holds a message of another terminal")]
    Foreign,
}

/// Which way a parcel goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Offers,
    Answers,
}

impl Way {
    const fn letter(self) -> u8 {
        match self {
            Self::Offers => b'O',
            Self::Answers => b'A',
        }
    }

    const fn context(self) -> &'static str {
        match self {
            Self::Offers => "counterfoil 2026 parcel of offers v1",
            Self::Answers => "counterfoil 2026 parcel of answers v1",
        }
    }
}

/// Returns whose parcel this is, without a look at its seal: to find the secret to check it with.
///
/// # Errors
/// [`ParcelError`]; any bytes may be given.
pub fn terminal_of(bytes: &[u8]) -> Result<TerminalId, ParcelError> {
    wrapping(bytes).map(|wrapping| wrapping.terminal)
}

impl Offers {
    /// Returns the parcel, sealed with the digest of the terminal's secret, and how many of the
    /// pushes are in it: as many as have room, and the others belong in the next one.
    #[must_use]
    pub fn seal(&self, secret: Hash) -> (Vec<u8>, usize) {
        let mut parcel = opened(Way::Offers, self.number, self.hello.terminal_id);
        put(&mut parcel, &self.hello.encode());
        let mut taken = 0;
        for push in self.pushes.iter().take(PARCEL_PUSHES_MAX) {
            let frame = push.encode();
            if parcel.len() + LENGTH_BYTES + frame.len() + SEAL_BYTES > PARCEL_BYTES_MAX {
                break;
            }
            put(&mut parcel, &frame);
            taken += 1;
        }
        assert!(taken > 0 || self.pushes.is_empty(), "any push fits in a parcel");
        (sealed(Way::Offers, secret, parcel), taken)
    }

    /// Reads a parcel of offers whose seal fits.
    ///
    /// # Errors
    /// [`ParcelError`]; any bytes may be given.
    pub fn open(bytes: &[u8], secret: Hash) -> Result<Self, ParcelError> {
        let Frames { number, terminal, frames } = frames(Way::Offers, bytes, secret)?;
        let (hello, pushes) = frames.split_first().ok_or(ParcelError::Form)?;
        let hello = Hello::decode(hello)?;
        let pushes: Result<Vec<_>, _> = pushes.iter().map(|frame| Push::decode(frame)).collect();
        let pushes = pushes?;
        let own = |push: &Push| push.terminal_id == terminal;
        assert!(frames.len() == pushes.len() + 1, "each frame is read");
        if hello.terminal_id != terminal || !pushes.iter().all(own) {
            return Err(ParcelError::Foreign);
        }
        assert!(pushes.len() <= PARCEL_PUSHES_MAX, "a parcel has so many pushes and no more");
        Ok(Self { number, hello, pushes })
    }
}

impl Answers {
    /// Returns the parcel, sealed with the digest of the terminal's secret.
    ///
    /// # Panics
    /// If there are more answers than a parcel has pushes.
    #[must_use]
    pub fn seal(&self, secret: Hash) -> Vec<u8> {
        assert!(self.answers.len() <= PARCEL_PUSHES_MAX, "a push has one answer");
        let mut parcel = opened(Way::Answers, self.number, self.terminal);
        put(&mut parcel, &self.welcome.encode());
        for (offered, answer) in &self.answers {
            put(&mut parcel, &codec::encode(VERSION, offered));
            put(&mut parcel, &answer.encode());
        }
        assert!(parcel.len() + SEAL_BYTES <= PARCEL_BYTES_MAX, "answers are shorter than offers");
        sealed(Way::Answers, secret, parcel)
    }

    /// Reads a parcel of answers whose seal fits.
    ///
    /// # Errors
    /// [`ParcelError`]; any bytes may be given.
    pub fn open(bytes: &[u8], secret: Hash) -> Result<Self, ParcelError> {
        let Frames { number, terminal, frames } = frames(Way::Answers, bytes, secret)?;
        let (welcome, rest) = frames.split_first().ok_or(ParcelError::Form)?;
        let welcome = Welcome::decode(welcome)?;
        let (pairs, odd) = rest.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(ParcelError::Form);
        }
        let answer = |[offered, answer]: &[&[u8]; 2]| {
            let offered: Offered = codec::decode(VERSION, offered).map_err(MessageError::Form)?;
            let answer = PushAnswer::decode(answer)?;
            // Only what was offered can have been taken.
            let rising = answer.results.is_sorted_by(|a, b| a.seq < b.seq);
            let offers = |seq| (1..=offered.last.seq).contains(&seq);
            let known = answer.results.iter().all(|result| offers(result.seq));
            if offered.last.seq == 0 || !rising || !known {
                return Err(MessageError::Order.into());
            }
            if answer.results.len() > PUSH_ITEMS_MAX {
                return Err(MessageError::Parts.into());
            }
            Ok((offered, answer))
        };
        let answers: Result<Vec<_>, ParcelError> = pairs.iter().map(answer).collect();
        let answers = answers?;
        assert!(answers.len() <= PARCEL_PUSHES_MAX, "a parcel has so many pushes and no more");
        Ok(Self { number, terminal, welcome, answers })
    }
}

fn opened(way: Way, number: u64, terminal: TerminalId) -> Vec<u8> {
    let name = terminal.0.as_bytes();
    assert!(!name.is_empty(), "a terminal has a name");
    let mut parcel = Vec::from(*MAGIC);
    parcel.extend([VERSION, way.letter()]);
    parcel.extend(number.to_le_bytes());
    parcel.push(u8::try_from(name.len()).expect("a byte counts a name"));
    parcel.extend(name);
    assert!(parcel.len() + SEAL_BYTES <= WRAPPING_BYTES_MAX, "what wraps a parcel is short");
    parcel
}

fn put(parcel: &mut Vec<u8>, frame: &[u8]) {
    assert!(frame.len() <= MESSAGE_BYTES_MAX, "a message has its bound");
    let length = u32::try_from(frame.len()).expect("four bytes count a frame");
    parcel.extend(length.to_le_bytes());
    parcel.extend(frame);
}

fn sealed(way: Way, secret: Hash, mut parcel: Vec<u8>) -> Vec<u8> {
    let seal = seal_of(way, secret, &parcel);
    assert!(parcel.starts_with(MAGIC), "what is sealed has its name");
    parcel.extend(seal.0);
    assert!(parcel.len() <= PARCEL_BYTES_MAX, "a parcel has its bound");
    parcel
}

fn seal_of(way: Way, secret: Hash, before: &[u8]) -> Hash {
    assert!(before.len() + SEAL_BYTES <= PARCEL_BYTES_MAX, "a parcel has its bound");
    let key = blake3::derive_key(way.context(), &secret.0);
    Hash(*blake3::keyed_hash(&key, before).as_bytes())
}

/// What wraps a parcel, and what follows, the seal included.
struct Wrapping<'a> {
    way: Way,
    number: u64,
    terminal: TerminalId,
    rest: &'a [u8],
}

/// What is in a parcel.
struct Frames<'a> {
    number: u64,
    terminal: TerminalId,
    frames: Vec<&'a [u8]>,
}

fn wrapping(bytes: &[u8]) -> Result<Wrapping<'_>, ParcelError> {
    if bytes.len() > PARCEL_BYTES_MAX {
        return Err(ParcelError::Size);
    }
    let rest = bytes.strip_prefix(MAGIC).ok_or(ParcelError::Form)?;
    let (&[version, letter], rest) = rest.split_first_chunk().ok_or(ParcelError::Form)?;
    if version != VERSION {
        return Err(ParcelError::Version(version));
    }
    let ways = [Way::Offers, Way::Answers];
    let way = ways.into_iter().find(|way| way.letter() == letter).ok_or(ParcelError::Form)?;
    let (number, rest) = rest.split_first_chunk().ok_or(ParcelError::Form)?;
    let (length, rest) = rest.split_first().ok_or(ParcelError::Form)?;
    let (name, rest) = rest.split_at_checked(usize::from(*length)).ok_or(ParcelError::Form)?;
    assert!(rest.len() + name.len() < bytes.len(), "what is read is used up");
    let name = core::str::from_utf8(name).map_err(|_| ParcelError::Form)?;
    let terminal = TerminalId::parse(name).map_err(|_| ParcelError::Form)?;
    assert!(!name.is_empty(), "a terminal has a name");
    Ok(Wrapping { way, number: u64::from_le_bytes(*number), terminal, rest })
}

/// Returns whose parcel it is, and its frames, after its seal was seen to fit.
fn frames(wanted: Way, bytes: &[u8], secret: Hash) -> Result<Frames<'_>, ParcelError> {
    let Wrapping { way, number, terminal, rest } = wrapping(bytes)?;
    assert!(bytes.len() <= PARCEL_BYTES_MAX, "what is longer is refused unread");
    if way != wanted {
        return Err(ParcelError::Direction);
    }
    let (mut rest, seal) = rest.split_last_chunk().ok_or(ParcelError::Form)?;
    let before = &bytes[..bytes.len() - SEAL_BYTES];
    if !seal_of(way, secret, before).same_secret(&Hash(*seal)) {
        return Err(ParcelError::Seal);
    }
    assert!(rest.len() + SEAL_BYTES < bytes.len(), "the seal is no frame");
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk().ok_or(ParcelError::Form)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| ParcelError::Form)?;
        let (frame, after) = after.split_at_checked(length).ok_or(ParcelError::Form)?;
        assert!(after.len() < rest.len(), "each frame gets on");
        frames.push(frame);
        rest = after;
    }
    // A greeting and pushes; or its answer, and each history with its answer.
    let most = match way {
        Way::Offers => 1 + PARCEL_PUSHES_MAX,
        Way::Answers => 1 + 2 * PARCEL_PUSHES_MAX,
    };
    if frames.len() > most {
        return Err(ParcelError::Size);
    }
    Ok(Frames { number, terminal, frames })
}
