------------------------------- MODULE Journal -------------------------------
(***************************************************************************)
(* Upstream: how a sale that a till has committed comes to count in the    *)
(* cloud, once, whatever happens on the way.                               *)
(*                                                                         *)
(*   a till's disk     the current history (an epoch) and closed ones      *)
(*   the cloud's disk  a copy of each history, and a ledger by name        *)
(*   between           greetings and pushes, late, lost, and twice         *)
(*                                                                         *)
(* Code: protocol/src/terminal/{record,pull,greeted,answered,adopt}.rs and *)
(* protocol/src/cloud/{greet,ingest}.rs.  Each action names its own.       *)
(*                                                                         *)
(* Hashes are taken to be one-to-one: a chain hash IS the sequence of the  *)
(* events up to it, an epoch's nonce is a number never drawn before.       *)
(* Durable state is `disk` and `cloud`; all else may be lost at any time,  *)
(* or is history that no node knows (`born`, `ever`, `printed`).           *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Tills,         \* how many tills there are: 1 .. Tills
  Copies,        \* how many further machines may start with the disk of till 1
  SalesMax,      \* how many sales may be made
  ItemsMax,      \* entries in a push (500 in code)
  BatchMax,      \* requests in one commit of the cloud
  AttemptsMax,   \* item-level failures until a person must look (5 in code)
  Unknown,       \* the sales of a product that the cloud does not know at first
  Refunds,       \* the sales that are refunds: each of the sale before it
  SameNames,     \* tills number their sales by themselves, so that names may meet
  WitnessSees,   \* the witness outside the database always tells a restore or a copy
  General,       \* tills speak whenever their rows permit (else: as the session does)
  Calm,          \* nothing else happens while a request is under way: longer histories
  Late,          \* how often a request or answer is late or lost, or a till restarts
  Dups,          \* how often a request arrives twice
  CloudCrashes,  \* how often the cloud dies between taking requests in and its commit
  TillRestores,  \* how often a till is replaced by its backup
  CloudRestores, \* how often the cloud is
  Wrong          \* "none", or the name of a mistake

VARIABLES
  disk,      \* disk[d]: the database of machine d, or Absent
  backup,    \* backup[d]: a copy of it, or Absent
  cloud,     \* the cloud's durable state
  archive,   \* its backup: a sequence of at most one state, with what it knew of products
  product,   \* whether the cloud knows the product of the Unknown sales by now
  req,       \* requests under way
  batch,     \* requests that the cloud has taken in and not committed
  ans,       \* answers under way
  greeted,   \* greeted[d]: the session has been greeted since its last doubt (volatile)
  epochs,    \* how many epochs were ever drawn
  left,      \* what may still go wrong
  born,      \* history: <<till, name, sale>> of each sale that was ever committed
  ever,      \* history: sales that the cloud's durable state has ever counted
  printed    \* history: <<epoch, number, sale>> of each receipt

vars == <<disk, backup, cloud, archive, product, req, batch, ans, greeted, epochs, left,
          born, ever, printed>>
history == <<born, ever, printed>>

Machines == 1 .. (Tills + Copies)
Sales    == 1 .. SalesMax
Owner(d) == IF d <= Tills THEN d ELSE 1
Absent   == [here |-> FALSE]

Min(a, b) == IF a < b THEN a ELSE b
Max(S)    == CHOOSE x \in S : \A y \in S : y <= x
Front(s)  == SubSeq(s, 1, Len(s) - 1)
Range(s)  == {s[i] : i \in DOMAIN s}

-----------------------------------------------------------------------------
(* Journals.  An entry is an event (its name and its sale), what is known of it (`st`: open,    *)
(* synced, moved), the row that waits for it (`row`: queue, person, none), and its failures.    *)

Entry(name, sale) == [name |-> name, sale |-> sale, st |-> "open", row |-> "queue", tries |-> 0]
Event(e)          == <<e.name, e.sale>>
Chain(log, n)     == [i \in 1 .. n |-> Event(log[i])]

Fresh(ep) == [here |-> TRUE, ep |-> ep, log |-> <<>>, acked |-> 0, closed |-> <<>>, last |-> 0]

\* Every entry on a disk, whatever history it is in.
Entries(dk) ==
  IF ~dk.here THEN {}
  ELSE Range(dk.log) \cup UNION {Range(dk.closed[i].log) : i \in DOMAIN dk.closed}
Names(dk) == {e.name : e \in Entries(dk)}

\* Entries of a closed history may still have to be carried over.
Unsettled(c) == c.queue \/ c.next <= Len(c.log)

\* The current history ends; what follows `kept` is carried over into the next (row.rs: part).
Part(dk, kept, ep) ==
  [dk EXCEPT
     !.closed = Append(@, [ep |-> dk.ep, log |-> dk.log, kept |-> kept, next |-> kept + 1,
                           queue |-> TRUE]),
     !.ep = ep, !.log = <<>>, !.acked = 0, !.last = 0]

\* Where a till shows its chain: its head, and ever fewer towards the beginning, and `also`
\* (journal.rs: points; right for up to 14 entries).
Points(head, also) ==
  ({head, also} \cup (IF head > 1 THEN {head - 1} ELSE {})
                \cup (IF head > 3 THEN {head - 3} ELSE {})
                \cup (IF head > 7 THEN {head - 7} ELSE {})) \ (IF head > 0 THEN {0} ELSE {})

-----------------------------------------------------------------------------
(* What is under way.  A request that its till no longer waits for is an orphan: it may arrive  *)
(* at any later time, or never, and its answer reaches nobody.                                  *)

Orphaned(m, d) == IF m.from = d THEN [m EXCEPT !.live = FALSE] ELSE m
Quiet == ~Calm \/ (req = {} /\ batch = <<>> /\ ans = {})
Awaits(d) ==
  \/ \E m \in req \cup Range(batch) : m.from = d /\ m.live
  \/ \E a \in ans : a.to = d
\* The program on machine d ends, or its request times out.
Forget(d) ==
  /\ req' = {Orphaned(m, d) : m \in req}
  /\ batch' = [i \in DOMAIN batch |-> Orphaned(batch[i], d)]
  /\ ans' = IF Wrong = "AnswersOutliveRestarts" THEN ans ELSE {a \in ans : a.to # d}
  /\ greeted' = [greeted EXCEPT ![d] = FALSE]

Init ==
  /\ disk = [d \in Machines |-> IF d <= Tills THEN Fresh(d) ELSE Absent]
  /\ backup = [d \in Machines |-> Absent]
  /\ cloud = [lanes |-> {}, ledger |-> {}, count |-> [s \in Sales |-> 0]]
  /\ archive = <<>>
  /\ product = (Unknown = {})
  /\ req = {} /\ batch = <<>> /\ ans = {}
  /\ greeted = [d \in Machines |-> FALSE]
  /\ epochs = Tills
  /\ left = [late |-> Late, dups |-> Dups, crashes |-> CloudCrashes, copies |-> Copies,
             tills |-> TillRestores, clouds |-> CloudRestores]
  /\ born = {} /\ ever = {} /\ printed = {}

-----------------------------------------------------------------------------
(* The till.                                                                                    *)

\* CHECKOUT (record.rs).  One commit: the sale, its receipt number, its journal entry, its row in
\* the queue.  It asks nobody; a name that stands on this disk is not given again.
NextSale == Cardinality(born) + 1
NextName(dk) == IF SameNames THEN Cardinality(Names(dk)) + 1 ELSE NextSale
Sold(dk) ==
  [dk EXCEPT !.log = Append(@, Entry(NextName(dk), NextSale)), !.last = @ + 1]
Sell(d) ==
  /\ Quiet /\ disk[d].here /\ NextSale <= SalesMax /\ NextName(disk[d]) \notin Names(disk[d])
  /\ disk' = [disk EXCEPT ![d] = Sold(@)]
  /\ born' = born \cup {<<Owner(d), NextName(disk[d]), NextSale>>}
  /\ printed' = printed \cup {<<disk[d].ep, disk[d].last + 1, NextSale>>}
  /\ UNCHANGED <<backup, cloud, archive, product, req, batch, ans, greeted, epochs, left, ever>>

\* GREETING (pull.rs: hello).  The till shows where its histories stand, the latest first.
HelloLane(ep, log, acked) == [ep |-> ep, chain |-> Chain(log, Len(log)), acked |-> acked]
HelloOf(d, dk) ==
  [kind |-> "hello", from |-> d, live |-> TRUE,
   lanes |-> <<HelloLane(dk.ep, dk.log, dk.acked)>> \o
     [i \in DOMAIN dk.closed |->
        LET c == dk.closed[Len(dk.closed) + 1 - i] IN HelloLane(c.ep, c.log, c.kept)]]
Hello(d) ==
  /\ Quiet /\ disk[d].here /\ ~Awaits(d) /\ (General \/ ~greeted[d])
  /\ req' = req \cup {HelloOf(d, disk[d])}
  /\ UNCHANGED <<disk, backup, cloud, archive, product, batch, ans, greeted, epochs, left, history>>

\* PUSH (pull.rs: batch).  Answered entries that wait for another try, then what was never answered.
Waiting(dk)  == IF Wrong = "ParkedNotRetried" THEN {}
                ELSE {i \in 1 .. dk.acked : dk.log[i].row = "queue"}
Adopting(dk) == \E i \in DOMAIN dk.closed : Unsettled(dk.closed[i])
RECURSIVE Rising(_)
Rising(S) == IF S = {} THEN <<>>
             ELSE LET n == CHOOSE n \in S : \A m \in S : n <= m IN <<n>> \o Rising(S \ {n})
Items(dk, due) ==
  LET old  == SubSeq(Rising(due), 1, Min(Cardinality(due), ItemsMax))
      upto == Min(Len(dk.log), dk.acked + ItemsMax - Len(old))
  IN old \o [i \in 1 .. (upto - dk.acked) |-> dk.acked + i]
PushOf(d, dk, items) ==
  [kind |-> "push", from |-> d, live |-> TRUE, ep |-> dk.ep,
   items |-> [i \in DOMAIN items |-> [seq |-> items[i], chain |-> Chain(dk.log, items[i])]]]
\* What a till offers is what it has committed.
Offers(dk) ==
  IF Wrong = "OfferedUncommitted" /\ NextSale <= SalesMax THEN Sold(dk) ELSE dk
\* Which of those that wait are due is a matter of time; in the end all are.
Batches(dk) == {Items(dk, due) : due \in IF General THEN SUBSET Waiting(dk) ELSE {Waiting(dk)}}
Push(d) ==
  /\ Quiet /\ disk[d].here /\ ~Awaits(d) /\ (General \/ (greeted[d] /\ ~Adopting(disk[d])))
  /\ \E dk \in {Offers(disk[d])} :
       \E items \in Batches(dk) \ {<<>>} : req' = req \cup {PushOf(d, dk, items)}
  /\ UNCHANGED <<disk, backup, cloud, archive, product, batch, ans, greeted, epochs, left, history>>

\* WHAT THE GREETING TELLS (greeted.rs).  The till concludes from its own rows:
\*   the cloud's head is on its chain              in step, or the till is ahead
\*   the same, before what was answered            the cloud was restored: offer it again
\*   it is not, or beyond the till's own head      histories have parted: begin the next
\* and of a closed history: what the cloud lacks of it by now is to be carried over.
Reconsidered(c, lanes) ==
  LET told == {l \in Range(lanes) : l.ep = c.ep} IN
  IF told = {} THEN c
  ELSE LET held == Min((CHOOSE l \in told : TRUE).common, Len(c.log)) IN
       IF held >= c.kept THEN c
       ELSE [c EXCEPT !.kept = held, !.next = Min(@, held + 1), !.queue = TRUE]
Told(dk, lanes) == {l \in Range(lanes) : l.ep = dk.ep}
OnChain(dk, lane) ==
  Len(lane.chain) <= Len(dk.log) /\ lane.chain = Chain(dk.log, Len(lane.chain))
HasParted(dk, lanes) == \E lane \in Told(dk, lanes) : ~OnChain(dk, lane)
Concluded(dk, lane) ==
  IF ~OnChain(dk, lane)
  THEN Part(dk, Min(Min(lane.common, Len(dk.log)), dk.acked), epochs + 1)
  ELSE IF Wrong = "NothingTakenBack" THEN dk
  ELSE [dk EXCEPT !.acked = Min(@, Len(lane.chain))]
Greeted(dk, lanes) ==
  LET seen == [i \in DOMAIN dk.closed |-> Reconsidered(dk.closed[i], lanes)]
      dk1  == [dk EXCEPT !.closed = seen] IN
  IF Told(dk, lanes) = {} THEN dk1
  ELSE Concluded(dk1, CHOOSE lane \in Told(dk, lanes) : TRUE)
Welcomed(d, a) ==
  /\ disk' = [disk EXCEPT ![d] = Greeted(@, a.lanes)]
  /\ epochs' = IF HasParted(disk[d], a.lanes) THEN epochs + 1 ELSE epochs
  /\ greeted' = [greeted EXCEPT ![d] = ~HasParted(disk[d], a.lanes) /\ ~General]

\* WHAT THE PUSH TELLS (answered.rs), entry by entry.  Only the next entry after `acked` moves it.
\*   posted    synced                                parked     tried again, AttemptsMax times
\*   refused   a person must look                    (a failure of the link is none of the item's)
\* Failures are counted by the row that waits, and go with it.
Taken(e, verdict) ==
  CASE verdict = "posted" -> [e EXCEPT !.st = "synced", !.row = "none", !.tries = 0]
    [] verdict = "parked" /\ e.tries < AttemptsMax - 1 ->
         [e EXCEPT !.st = "open", !.row = "queue", !.tries = @ + 1]
    [] OTHER ->
         [e EXCEPT !.st = "open", !.row = IF Wrong = "CapDrops" THEN "none" ELSE "person",
                   !.tries = Min(@ + 1, AttemptsMax)]
RECURSIVE TakeAll(_, _)
TakeAll(dk, results) ==
  IF results = <<>> THEN dk
  ELSE LET r == Head(results)  dk1 ==
             IF r.seq > Len(dk.log) THEN dk
             ELSE [dk EXCEPT !.log[r.seq] = Taken(@, r.verdict),
                             !.acked = IF r.seq = @ + 1 THEN r.seq ELSE @]
       IN TakeAll(dk1, Tail(results))
Answered(d, a) ==
  /\ disk' = [disk EXCEPT ![d] =
       IF a.ep = disk[d].ep THEN TakeAll(@, a.results) ELSE @]
  /\ greeted' = [greeted EXCEPT ![d] = @ /\ ~a.stopped /\ ~General]
  /\ UNCHANGED epochs

Receive(d) ==
  \E a \in ans :
    /\ a.to = d
    /\ ans' = ans \ {a}
    /\ IF a.kind = "welcome" THEN Welcomed(d, a) ELSE Answered(d, a)
    /\ UNCHANGED <<backup, cloud, archive, product, req, batch, left, history>>

\* ADOPTION (adopt.rs, pull.rs: adoption).  The oldest closed history that is unsettled, entry by
\* entry: first what follows `kept`, then what waits below it.  An event keeps its name and its
\* bytes, so carrying it over is always safe: the ledger knows it or not.  It asks nobody, so the
\* session does it as soon as it has begun another epoch, and greets then (session/mod.rs).
Carry(dk, i, n) ==
  LET c == dk.closed[i]  e == c.log[n]
      settled == e.st = "synced" /\ n <= c.kept
      gone    == [e EXCEPT !.st = IF settled THEN @ ELSE "moved", !.row = "none",
                         !.tries = 0]
      dk1     == [dk EXCEPT !.closed[i].log[n] = gone]
  IN IF settled \/ e.st = "moved" THEN dk1
     ELSE [dk1 EXCEPT !.log = Append(@, [e EXCEPT !.st = "open", !.row = "queue",
             !.tries = IF e.row = "person" THEN Min(@, AttemptsMax - 1)
                       ELSE IF e.row = "queue" THEN @ ELSE 0])]
Adopted(dk) ==
  LET i == CHOOSE i \in DOMAIN dk.closed : /\ Unsettled(dk.closed[i])
                                           /\ \A j \in 1 .. i - 1 : ~Unsettled(dk.closed[j])
      c == dk.closed[i]
      below == {n \in DOMAIN c.log : c.log[n].row # "none"}
  IN IF c.next <= Len(c.log) THEN [Carry(dk, i, c.next) EXCEPT !.closed[i].next = @ + 1]
     ELSE IF below # {} /\ Wrong # "AdoptLeavesQueue"
          THEN Carry(dk, i, CHOOSE n \in below : \A m \in below : n <= m)
     ELSE [dk EXCEPT !.closed[i].queue = FALSE]
Adopt(d) ==
  /\ Quiet /\ disk[d].here /\ Adopting(disk[d])
  /\ General \/ ~Awaits(d)
  /\ disk' = [disk EXCEPT ![d] = Adopted(@)]
  /\ UNCHANGED <<backup, cloud, archive, product, req, batch, ans, greeted, epochs, left, history>>

\* A person looks at an entry and wants it tried again, in the current history or in one whose
\* entries are still to be carried over (terminal/mod.rs: retry).
Retry(d, n) ==
  /\ disk[d].here /\ n <= Len(disk[d].log) /\ disk[d].log[n].row = "person"
  /\ disk' = [disk EXCEPT ![d].log[n].row = "queue", ![d].log[n].tries = 0]
  /\ UNCHANGED <<backup, cloud, archive, product, req, batch, ans, greeted, epochs, left, history>>
RetryOld(d, i, n) ==
  /\ disk[d].here /\ i <= Len(disk[d].closed) /\ n <= Len(disk[d].closed[i].log)
  /\ disk[d].closed[i].log[n].row = "person"
  /\ disk' = [disk EXCEPT ![d].closed[i].log[n].row = "queue", ![d].closed[i].log[n].tries = 0]
  /\ UNCHANGED <<backup, cloud, archive, product, req, batch, ans, greeted, epochs, left, history>>

\* An idle session greets now and then: the cloud may have been restored (session/mod.rs: woken).
Idle(d) ==
  /\ ~General /\ disk[d].here /\ greeted[d] /\ ~Awaits(d) /\ ~Adopting(disk[d])
  /\ disk[d].acked = Len(disk[d].log) /\ Waiting(disk[d]) = {}
  /\ greeted' = [greeted EXCEPT ![d] = FALSE]
  /\ UNCHANGED <<disk, backup, cloud, archive, product, req, batch, ans, epochs, left, history>>

-----------------------------------------------------------------------------
(* The cloud.  What one transaction takes in: a sequence of requests, each sees what the one    *)
(* before it wrote.  Nothing is said to anybody before the commit.                              *)

LaneOf(c, t, ep) == {l \in c.lanes : l.t = t /\ l.ep = ep}
Held(c, t, ep)   == LET ls == LaneOf(c, t, ep) IN
                    IF ls = {} THEN <<>> ELSE (CHOOSE l \in ls : TRUE).log

\* Make room for the till's current history, and compare each that it shows (cloud/greet.rs).
Compared(c, t, told) ==
  LET held == Held(c, t, told.ep)
      shown == {p \in Points(Len(told.chain), told.acked) :
                  p > 0 /\ p <= Len(held) /\ held[p] = SubSeq(told.chain, 1, p)}
  IN [ep |-> told.ep, chain |-> IF held = <<>> THEN <<>> ELSE held[Len(held)],
      common |-> IF shown = {} THEN 0 ELSE Max(shown)]
Greet(c, m) ==
  LET t  == Owner(m.from)
      ep == m.lanes[1].ep
      c1 == IF LaneOf(c, t, ep) # {} THEN c
            ELSE [c EXCEPT !.lanes = @ \cup {[t |-> t, ep |-> ep, log |-> <<>>]}]
  IN [cloud |-> c1,
      ans |-> [kind |-> "welcome", to |-> m.from,
               lanes |-> [i \in DOMAIN m.lanes |-> Compared(c1, t, m.lanes[i])]]]

\* The ledger answers by name and payload, whatever history brings the event (cloud/ingest.rs).
Postable(c, s) ==
  /\ s \in Unknown => product
  /\ s \in Refunds => \E l \in c.ledger : l.sale = s - 1 /\ l.fate = "posted"
SameKey(l, t, ev) ==
  /\ l.name = ev[1]
  /\ Wrong = "NameWithoutTill" \/ l.t = t
Post(c, t, ep, seq, ev) ==
  LET known == IF Wrong = "PostedByPlace"
               THEN {l \in c.ledger : l.t = t /\ l.ep = ep /\ l.seq = seq}
               ELSE {l \in c.ledger : SameKey(l, t, ev)}
      s     == ev[2]
      fate  == IF Postable(c, s) THEN "posted" ELSE "parked"
      new   == [c EXCEPT
        !.ledger = (@ \ known) \cup {[t |-> t, name |-> ev[1], sale |-> s, fate |-> fate,
                                      ep |-> IF Wrong = "PostedByPlace" THEN ep ELSE 0,
                                      seq |-> IF Wrong = "PostedByPlace" THEN seq ELSE 0]},
        !.count[s] = IF fate = "posted" THEN Min(@ + 1, 2) ELSE @]
  IN IF known = {} THEN [cloud |-> new, verdict |-> fate]
     ELSE LET l == CHOOSE l \in known : TRUE IN
          IF l.sale # s THEN [cloud |-> c, verdict |-> "refused"]
          ELSE IF l.fate = "posted" THEN [cloud |-> c, verdict |-> "posted"]
          ELSE [cloud |-> new, verdict |-> fate]

\* Each entry goes into the copy of its journal whatever it says, if it is the next of it.
RECURSIVE Ingest(_, _, _, _, _)
Ingest(c, t, ep, items, done) ==
  IF items = <<>> THEN [cloud |-> c, results |-> done, stopped |-> FALSE]
  ELSE
  LET item   == Head(items)
      held   == Held(c, t, ep)
      next   == Len(held) + 1
      before == IF held = <<>> THEN <<>> ELSE held[Len(held)]
      gap    == item.seq > next /\ Wrong # "GapTaken"
      linked == Front(item.chain) = before \/ Wrong \in {"ChainUnchecked", "GapTaken"}
      ok     == IF item.seq < next THEN held[item.seq] = item.chain ELSE ~gap /\ linked
      lanes  == (c.lanes \ LaneOf(c, t, ep))
                  \cup {[t |-> t, ep |-> ep, log |-> Append(held, item.chain)]}
      c1     == IF item.seq < next THEN c ELSE [c EXCEPT !.lanes = lanes]
      posted == Post(c1, t, ep, item.seq, item.chain[Len(item.chain)])
  IN IF LaneOf(c, t, ep) = {} \/ ~ok THEN [cloud |-> c, results |-> done, stopped |-> TRUE]
     ELSE Ingest(posted.cloud, t, ep, Tail(items),
                 Append(done, [seq |-> item.seq, verdict |-> posted.verdict]))

Serve(c, m) ==
  IF m.kind = "hello" THEN Greet(c, m)
  ELSE LET r == Ingest(c, Owner(m.from), m.ep, m.items, <<>>) IN
       [cloud |-> r.cloud,
        ans |-> [kind |-> "pushed", to |-> m.from, ep |-> m.ep, results |-> r.results,
                 stopped |-> r.stopped]]
RECURSIVE ServeAll(_, _, _)
ServeAll(c, ms, out) ==
  IF ms = <<>> THEN [cloud |-> c, out |-> out]
  ELSE LET r == Serve(c, Head(ms)) IN
       ServeAll(r.cloud, Tail(ms), IF Head(ms).live THEN out \cup {r.ans} ELSE out)

\* TAKE IN: a request joins what the next commit will hold; a duplicate of it may come later.
Stage(d) ==
  \E m \in {m \in req : m.from = d} :
    /\ Len(batch) < BatchMax
    /\ batch' = Append(batch, m)
    /\ \/ req' = req \ {m} /\ UNCHANGED left
       \/ left.dups > 0 /\ left' = [left EXCEPT !.dups = @ - 1]
          /\ req' = (req \ {m}) \cup {[m EXCEPT !.live = FALSE]}
    /\ ans' = IF Wrong = "AckBeforeCommit"
              THEN ans \cup (ServeAll(cloud, batch', {}).out \ ServeAll(cloud, batch, {}).out)
              ELSE ans
    /\ UNCHANGED <<disk, backup, cloud, archive, product, greeted, epochs, history>>

\* COMMIT: one transaction for all that was taken in; only then the answers exist for anyone.
Commit ==
  /\ batch # <<>>
  /\ \E r \in {ServeAll(cloud, batch, {})} :
       /\ cloud' = r.cloud
       /\ ans' = IF Wrong = "AckBeforeCommit" THEN ans ELSE ans \cup r.out
       /\ ever' = ever \cup {s \in Sales : r.cloud.count[s] > 0}
  /\ batch' = <<>>
  /\ UNCHANGED <<disk, backup, archive, product, req, greeted, epochs, left, born, printed>>

\* The product of the Unknown sales is defined.
Define ==
  /\ ~product /\ product' = TRUE
  /\ UNCHANGED <<disk, backup, cloud, archive, req, batch, ans, greeted, epochs, left, history>>

-----------------------------------------------------------------------------
(* What goes wrong.                                                                             *)

\* A request is lost or late, an answer is lost, the till's program ends: it waits no longer, and
\* a session that was greeted is not.
Interrupt(d) ==
  /\ left.late > 0 /\ (Awaits(d) \/ greeted[d]) /\ left' = [left EXCEPT !.late = @ - 1]
  /\ Forget(d)
  /\ UNCHANGED <<disk, backup, cloud, archive, product, epochs, history>>

\* The cloud dies between taking requests in and the commit: they are gone, and nothing else.
CloudDies ==
  /\ left.crashes > 0 /\ batch # <<>> /\ left' = [left EXCEPT !.crashes = @ - 1]
  /\ batch' = <<>>
  /\ greeted' = [d \in Machines |->
       greeted[d] /\ ~\E m \in Range(batch) : m.from = d /\ m.live]
  /\ UNCHANGED <<disk, backup, cloud, archive, product, req, ans, epochs, history>>

\* A backup of a till, at any time, and its return.  The witness outside the database may notice
\* (open.rs): then the till begins a new epoch before it sells; if it does not, the next greeting
\* finds out.
Backup(d) ==
  /\ Quiet /\ left.tills > 0 /\ disk[d].here /\ ~backup[d].here
  /\ backup' = [backup EXCEPT ![d] = disk[d]]
  /\ UNCHANGED <<disk, cloud, archive, product, req, batch, ans, greeted, epochs, left, history>>
\* In the long histories of Calm models it never does: that is the worse case.
Noticed == IF WitnessSees THEN {TRUE} ELSE IF Calm THEN {FALSE} ELSE {TRUE, FALSE}
Opened(dk, noticed) ==
  IF noticed /\ Wrong # "EpochKept" THEN Part(dk, dk.acked, epochs + 1) ELSE dk
RestoreTill(d) ==
  /\ Quiet /\ left.tills > 0 /\ backup[d].here /\ left' = [left EXCEPT !.tills = @ - 1]
  /\ \E noticed \in Noticed :
       /\ disk' = [disk EXCEPT ![d] = Opened(backup[d], noticed)]
       /\ epochs' = IF noticed THEN epochs + 1 ELSE epochs
  /\ backup' = [backup EXCEPT ![d] = Absent]
  /\ Forget(d)
  /\ UNCHANGED <<cloud, archive, product, history>>

\* A second machine starts with the disk of till 1.
Copy(c) ==
  /\ Quiet /\ left.copies > 0 /\ c > Tills /\ ~disk[c].here
  /\ left' = [left EXCEPT !.copies = @ - 1]
  /\ \E noticed \in Noticed :
       /\ disk' = [disk EXCEPT ![c] = Opened(disk[1], noticed)]
       /\ epochs' = IF noticed THEN epochs + 1 ELSE epochs
  /\ UNCHANGED <<backup, cloud, archive, product, req, batch, ans, greeted, history>>

\* A backup of the cloud, and its return.  Answers of the lost history may still arrive.
Archive ==
  /\ Quiet /\ left.clouds > 0 /\ archive = <<>>
  /\ archive' = <<[cloud |-> cloud, product |-> product]>>
  /\ UNCHANGED <<disk, backup, cloud, product, req, batch, ans, greeted, epochs, left, history>>
RestoreCloud ==
  /\ Quiet /\ left.clouds > 0 /\ archive # <<>> /\ left' = [left EXCEPT !.clouds = @ - 1]
  /\ cloud' = archive[1].cloud /\ product' = archive[1].product
  /\ archive' = <<>> /\ batch' = <<>>
  /\ greeted' = [d \in Machines |->
       greeted[d] /\ ~\E m \in Range(batch) : m.from = d /\ m.live]
  /\ UNCHANGED <<disk, backup, req, ans, epochs, history>>

Next ==
  \/ \E d \in Machines : Sell(d)
  \/ \E d \in Machines : Hello(d)
  \/ \E d \in Machines : Push(d)
  \/ \E d \in Machines : Receive(d)
  \/ \E d \in Machines : Adopt(d)
  \/ \E d \in Machines : \E n \in Sales : Retry(d, n)
  \/ \E d \in Machines : \E i \in 1 .. epochs : \E n \in Sales : RetryOld(d, i, n)
  \/ \E d \in Machines : Idle(d)
  \/ \E d \in Machines : Stage(d)
  \/ Commit
  \/ Define
  \/ \E d \in Machines : Interrupt(d)
  \/ CloudDies
  \/ \E d \in Machines : Backup(d)
  \/ \E d \in Machines : RestoreTill(d)
  \/ \E d \in Machines : Copy(d)
  \/ Archive
  \/ RestoreCloud

Spec == Init /\ [][Next]_vars

\* Fairness: a machine that runs goes on, the cloud takes each machine's requests in and commits,
\* products get defined, people look at what needs them.  Nobody has to sell, and no fault has to
\* happen; each fault happens a bounded number of times, so there is a last one.
Fairness ==
  /\ \A d \in Machines :
       /\ WF_vars(Hello(d)) /\ WF_vars(Push(d)) /\ WF_vars(Receive(d))
       /\ WF_vars(Adopt(d)) /\ WF_vars(Idle(d)) /\ SF_vars(Stage(d))
       /\ \A n \in Sales : WF_vars(Retry(d, n))
  /\ WF_vars(Commit) /\ WF_vars(Define)
FairSpec == Spec /\ Fairness

-----------------------------------------------------------------------------
(* Laws.                                                                                        *)

Disks == {d \in Machines : disk[d].here}

NoPhantom ==
  /\ \A l \in cloud.ledger : <<l.t, l.name, l.sale>> \in born
  /\ \A s \in Sales : cloud.count[s] > 0 => \E b \in born : b[3] = s
  /\ \A l \in cloud.lanes : \A i \in DOMAIN l.log : \A j \in DOMAIN l.log[i] :
       <<l.t, l.log[i][j][1], l.log[i][j][2]>> \in born

NoDuplicate == \A s \in Sales : cloud.count[s] <= 1

\* Per device and epoch no gap, and each chain hash continues the one before it.
JournalIntact ==
  \A l \in cloud.lanes : \A i \in DOMAIN l.log :
    Len(l.log[i]) = i /\ (i > 1 => Front(l.log[i]) = l.log[i - 1])

\* A sale that a till takes for synced is one that the cloud's durable state has counted, and
\* counts as long as the cloud was not restored.
Believed(dk) == {e.sale : e \in {e \in Entries(dk) : e.st = "synced"}}
AckedIsDurable ==
  \A d \in Disks : \A s \in Believed(disk[d]) :
    s \in ever /\ (left.clouds = CloudRestores => cloud.count[s] = 1)

\* Nothing is said that is not durable by then.
OutputAfterCommit ==
  \A a \in ans : a.kind = "pushed" /\ disk[a.to].ep = a.ep =>
    \A r \in Range(a.results) : r.verdict = "posted" => disk[a.to].log[r.seq].sale \in ever

\* Each entry of each disk is in exactly one of: waits, needs a person, synced, carried over; and
\* what was carried over stands once in a later history.
NeverForgotten ==
  \A d \in Disks :
    /\ \A e \in Entries(disk[d]) :
         \/ e.st = "open" /\ e.row \in {"queue", "person"}
         \/ e.st \in {"synced", "moved"} /\ e.row = "none"
    /\ \A e \in Entries(disk[d]) : \E f \in Entries(disk[d]) :
         Event(f) = Event(e) /\ f.st # "moved"

\* Receipt numbers of one series are unique and without gaps (known limit: where the witness does
\* not notice a restore; see the README).
ReceiptsGapless ==
  \A r \in printed :
    /\ \A q \in printed : q[1] = r[1] /\ q[2] = r[2] => q = r
    /\ r[2] > 1 => \E q \in printed : q[1] = r[1] /\ q[2] = r[2] - 1

\* Liveness.  A sale on a surviving disk counts in the cloud, for ever from some time on; or its
\* name belongs to another sale of the same till by then, and a person has both (B.2).
Conflicting(d, e) ==
  \E l \in cloud.ledger : l.t = Owner(d) /\ l.name = e.name /\ l.sale # e.sale
ZeroLoss ==
  <>[](\A d \in Disks : \A e \in Entries(disk[d]) :
         cloud.count[e.sale] = 1 \/ Conflicting(d, e))
QueueDrains ==
  <>[](\A d \in Disks :
         /\ ~Adopting(disk[d]) /\ disk[d].acked = Len(disk[d].log)
         /\ \A e \in Entries(disk[d]) : e.row # "queue" \/ Conflicting(d, e))

-----------------------------------------------------------------------------
(* The refinement mapping: a till's sales are facts, the cloud is where they count.             *)

C == INSTANCE Contract WITH
  Facts  <- Sales,
  Places <- {"cloud"},
  Reach  <- Sales \X {"cloud"},
  made   <- {b[3] : b \in born},
  owed   <- {s \in Sales : \E d \in Disks : \E e \in Entries(disk[d]) :
               e.sale = s /\ ~Conflicting(d, e)},
  effect <- [p \in {"cloud"} |-> cloud.count],
  lost   <- [p \in {"cloud"} |-> {s \in ever : cloud.count[s] = 0}],
  told   <- [p \in {"cloud"} |-> UNION {Believed(disk[d]) : d \in Disks}],
  truth  <- {},
  copy   <- [p \in {"cloud"} |-> <<0, "nowhere">>]
Refines == C!Spec

-----------------------------------------------------------------------------
(* Sanity: that each of these is reached shows that the laws above speak of something.          *)

SomePosted    == \E s \in Sales : cloud.count[s] = 1
SomeSynced    == \E d \in Disks : Believed(disk[d]) # {}
SomeOrphan    == \E m \in req : ~m.live
SomeTogether  == Len(batch) > 1
SomeParted    == \E d \in Disks : disk[d].closed # <<>>
SomeMoved     == \E d \in Disks : \E e \in Entries(disk[d]) : e.st = "moved"
SomeOffered   == \E d \in Disks : \E i \in DOMAIN disk[d].log :
                   disk[d].log[i].st = "synced" /\ i > disk[d].acked
SomePerson    == \E d \in Disks : \E e \in Entries(disk[d]) : e.row = "person"
SomeParked    == \E l \in cloud.ledger : l.fate = "parked"
SomeConflict  == \E d \in Disks : \E e \in Entries(disk[d]) : Conflicting(d, e)
SomeTaken     == \E s \in ever : cloud.count[s] = 0
SomeTwoLanes  == Cardinality(cloud.lanes) > 1
ReceiptTwice  == ~ReceiptsGapless
==============================================================================
