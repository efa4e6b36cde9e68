//! The handshake, from the cloud's side: compare each journal of the till with the cloud's copy.

use alloc::vec::Vec;

use super::row::{Fork, Lane, Terminal};
use super::{Caller, Cloud, Key, Output, Record};
use crate::event::Figures;
use crate::hash::{Hash, genesis};
use crate::identity::TerminalId;
use crate::journal::Segment;
use crate::machine::{ReadSet, Rows};
use crate::time::Millis;
use crate::wire::message::{
    HELLO_LANES_MAX, HELLO_POINTS_MAX, Hello, HelloLane, PUSH_BYTES_MAX, PUSH_ITEMS_MAX, ParentV1,
    Point, Standing, WIRE_VERSION, Welcome, WelcomeLane,
};

/// The most histories one terminal may begin. Each is a restore or a copy that a person should
/// know of; beyond this the till keeps selling and the cloud answers without opening another.
pub const LANES_MAX: u32 = 10_000;

const _: () = assert!(LANES_MAX < u32::MAX, "histories are counted beyond their bound");
const _: () = assert!(
    LANES_MAX as usize > HELLO_LANES_MAX,
    "a till may begin more histories than it reports at a time"
);

pub(super) fn reads(caller: &Caller, hello: &Hello, keys: &mut ReadSet<Key>) {
    assert!(!hello.lanes.is_empty(), "a checked hello names its current lane");
    assert!(hello.lanes.len() <= HELLO_LANES_MAX, "a checked hello names so many lanes");
    for lane in &hello.lanes {
        assert!(!lane.points.is_empty(), "a checked lane shows its head");
        assert!(lane.points.len() <= HELLO_POINTS_MAX, "a checked lane shows so many points");
        keys.insert(Key::Lane(caller.terminal, lane.epoch));
        let mut before = None;
        // Points fall, and many are of one segment.
        for point in lane.points.iter().rev().filter(|point| point.seq > 0) {
            let number = Segment::number(point.seq);
            if before.replace(number) != Some(number) {
                keys.insert(Key::Segment(caller.terminal, lane.epoch, number));
            }
        }
    }
    if let Some((fork, parent)) = fork_of(caller.terminal, &hello.lanes[0]) {
        keys.insert(fork);
        keys.insert(Key::Lane(caller.terminal, parent.epoch));
    }
}

pub(super) fn step(
    rows: &mut Rows<'_, Cloud>,
    now: Millis,
    caller: &Caller,
    hello: &Hello,
) -> Output {
    assert!(!hello.lanes.is_empty(), "a checked hello names its current lane");
    assert_eq!(caller.terminal, hello.terminal_id, "a till is admitted as itself");
    open_current(rows, now, caller.terminal, &hello.lanes[0]);
    let lanes: Vec<WelcomeLane> =
        hello.lanes.iter().map(|lane| compare(rows, caller.terminal, lane)).collect();
    assert_eq!(lanes.len(), hello.lanes.len(), "each lane has its answer");
    assert_eq!(lanes[0].epoch, hello.lanes[0].epoch, "the current lane is answered first");
    Output::Welcome(Welcome {
        version: WIRE_VERSION,
        server_time_ms: now.0,
        push_items_max: PUSH_ITEMS_MAX as u32,
        push_bytes_max: PUSH_BYTES_MAX as u32,
        lanes,
    })
}

/// Makes room for the till's current history. Older ones that the cloud does not know (it was
/// restored from a backup) are not made again: the till brings their entries in its current one.
fn open_current(rows: &mut Rows<'_, Cloud>, now: Millis, id: TerminalId, told: &HelloLane) {
    if rows.lane(id, told.epoch).is_some() {
        return;
    }
    let terminal = rows.terminal(id).expect("the caller was admitted by this row").clone();
    if terminal.lanes >= LANES_MAX {
        return;
    }
    let lane = Lane {
        head: 0,
        hash: genesis(id, told.epoch),
        parent: told.parent,
        since: now,
        seen: now,
        posted: Figures::default(),
    };
    name_fork(rows, now, id, told);
    rows.put(Key::Lane(id, told.epoch), Record::Lane(lane));
    rows.put(
        Key::Terminal(id),
        Record::Terminal(Terminal { lanes: terminal.lanes + 1, ..terminal }),
    );
}

fn compare(rows: &Rows<'_, Cloud>, id: TerminalId, told: &HelloLane) -> WelcomeLane {
    assert!(!told.points.is_empty(), "a checked lane shows its head");
    let held = rows.lane(id, told.epoch);
    let head = held.map_or_else(
        || Point { seq: 0, hash: genesis(id, told.epoch) },
        |lane| Point { seq: lane.head, hash: lane.hash },
    );
    let common = told
        .points
        .iter()
        .find(|point| chain_at(rows, id, told, head, point.seq) == Some(point.hash))
        .map_or(0, |point| point.seq);
    assert!(common <= head.seq, "a common entry is one that the cloud holds");
    assert!(common <= told.points[0].seq, "a common entry is one that the till has");
    WelcomeLane { epoch: told.epoch, head, common, standing: standing(told, head, common) }
}

/// Returns the cloud's chain hash at `seq`, as far as the declared rows tell.
fn chain_at(
    rows: &Rows<'_, Cloud>,
    id: TerminalId,
    told: &HelloLane,
    head: Point,
    seq: u64,
) -> Option<Hash> {
    if seq > head.seq {
        return None;
    }
    if seq == head.seq {
        return Some(head.hash);
    }
    if seq == 0 {
        return Some(genesis(id, told.epoch));
    }
    rows.segment(id, told.epoch, Segment::number(seq))?.chain_at(seq)
}

fn standing(told: &HelloLane, head: Point, common: u64) -> Standing {
    let till_head = told.points[0].seq;
    assert!(common <= till_head && common <= head.seq, "a common entry is one of both");
    assert!(told.acked <= till_head, "a checked lane was answered up to its head at most");
    if common == till_head {
        return if head.seq == till_head { Standing::InStep } else { Standing::TillLostTail };
    }
    let shown_and_different =
        head.seq > common && told.points.iter().any(|point| point.seq == head.seq);
    if head.seq >= till_head || shown_and_different {
        assert!(common < till_head, "the till has gone on by itself");
        Standing::Forked
    } else if told.acked > head.seq {
        assert!(head.seq < till_head, "who has lost entries has fewer");
        Standing::CloudLostTail
    } else {
        Standing::TillAhead
    }
}

/// A history that continues another was opened because the till's database was restored, copied,
/// or had parted from the cloud's copy: a person should know of it (B.3).
fn name_fork(rows: &mut Rows<'_, Cloud>, now: Millis, id: TerminalId, told: &HelloLane) {
    let Some((key, parent)) = fork_of(id, told) else { return };
    let cloud_head = rows.lane(id, parent.epoch).map_or(0, |lane| lane.head);
    let fork = Fork { common: parent.common, cloud_head, successor: told.epoch, at: now };
    rows.put(key, Record::Fork(fork));
}

/// Returns the row that names the parting from which `told` came, and the history it came from.
fn fork_of(id: TerminalId, told: &HelloLane) -> Option<(Key, ParentV1)> {
    let parent = told.parent?;
    Some((Key::Fork(id, parent.epoch, genesis(id, told.epoch)), parent))
}
