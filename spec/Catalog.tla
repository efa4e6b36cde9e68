------------------------------- MODULE Catalog -------------------------------
(***************************************************************************)
(* Downstream: how what the cloud decides of the catalog becomes true on a *)
(* till, and what becomes of a till's own edits.                           *)
(*                                                                         *)
(*   the cloud   a feed: each entity once, at the version that made it     *)
(*               what it is; a floor; leases; the edits it has decided     *)
(*   a till      rows that are the cloud's, a version, how far a snapshot  *)
(*               has come; what lies over the rows                         *)
(*                                                                         *)
(* Code: protocol/src/cloud/{catalog,compaction,edited}.rs,                *)
(* protocol/src/terminal/{catalog,edits}.rs, protocol/src/session/follow.rs*)
(*                                                                         *)
(* An entity here is one field of one owner; a commit changes one of them. *)
(* Its content is a number, 0 is none; each commit writes a number that    *)
(* was never written before.  A digest IS what it is the sum of.  Edits    *)
(* reach the cloud as Journal says: once, and in their order.              *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Tills,         \* tills 1 .. Tills
  ItemsMax,      \* entities 1 .. ItemsMax, in the order of their names
  Writes,        \* commits of the operator
  EditsMax,      \* edits of till 1
  Owned,         \* the entities that only the cloud decides
  Compactions,   \* plans of compaction
  Lapses,        \* leases that lapse
  Strays,        \* questions or answers that are lost, or restarts of a till
  TillRestores, CloudRestores,
  InOrder,       \* edits of a till reach the cloud in the order in which they were made
  Wrong          \* "none", or the name of a mistake

VARIABLES
  cat,       \* the cloud's catalog (durable)
  archive,   \* its backup: a sequence of at most one
  plan,      \* a compaction that was planned: a sequence of at most one (volatile)
  asked,     \* asked[t]: the version in till t's last question: its lease may be noted (volatile)
  till,      \* till[t]: a till's rows (durable)
  backup,    \* backup[t]: the same, once
  talk,      \* talk[t]: a question on its way, being answered, or answered (volatile)
  left,      \* what may still happen
  edits,     \* history: edits[e]: the entity of the e-th edit
  ruled,     \* history: <<edit, version>> of each decision that the cloud has ever made
  hist,      \* history: <<version, contents>> that were ever the cloud's
  amiss      \* history: what must never be; empty

vars == <<cat, archive, plan, asked, till, backup, talk, left, edits, ruled, hist, amiss>>

TillSet  == 1 .. Tills
Items    == 1 .. ItemsMax
EditValue(e) == 100 + e
Min(a, b) == IF a < b THEN a ELSE b
Least(S) == CHOOSE x \in S : \A y \in S : x <= y
Contents(rows) == [i \in Items |-> rows[i].val]

None == [val |-> 0, ver |-> 0]
Rest == [kind |-> "rest"]

\* `at`: none (0, incomplete) or a version; `run`: how far a snapshot has come, at most one.
Installed == [known |-> FALSE, at |-> 0, rows |-> [i \in Items |-> None], run |-> <<>>,
              proven |-> FALSE, drifts |-> 0, over |-> [i \in Items |-> 0], done |-> {}]

Init ==
  /\ cat = [v |-> 0, item |-> [i \in Items |-> None], by |-> [i \in Items |-> "cloud"],
            floor |-> 0, swept |-> 0, begun |-> 0, lease |-> [t \in TillSet |-> <<>>],
            noted |-> {}, decided |-> {}]
  /\ archive = <<>> /\ plan = <<>>
  /\ asked = [t \in TillSet |-> <<>>]
  /\ till = [t \in TillSet |-> Installed]
  /\ backup = [t \in TillSet |-> <<>>]
  /\ talk = [t \in TillSet |-> Rest]
  /\ left = [writes |-> Writes, plans |-> Compactions, lapses |-> Lapses, strays |-> Strays,
             tills |-> TillRestores, clouds |-> CloudRestores]
  /\ edits = <<>> /\ ruled = {} /\ hist = {} /\ amiss = {}

-----------------------------------------------------------------------------
(* The cloud commits.                                                                           *)

\* A COMMIT takes the feed's next version in its transaction (cloud/catalog.rs: Commit).
Committed(c, i, val, who) ==
  [c EXCEPT !.v = @ + 1, !.item[i] = [val |-> val, ver |-> c.v + 1], !.by[i] = who]
Record(c) == hist \cup {<<c.v, Contents(c.item)>>}
Write(i) ==
  /\ left.writes > 0 /\ left' = [left EXCEPT !.writes = @ - 1]
  /\ \E val \in {left.writes} \cup (IF cat.item[i].val # 0 THEN {0} ELSE {}) :
       /\ cat' = Committed(cat, i, val, "cloud")
       /\ hist' = Record(Committed(cat, i, val, "cloud"))
  /\ UNCHANGED <<archive, plan, asked, till, backup, talk, edits, ruled, amiss>>

\* AN EDIT OF A TILL is decided once, by the owner of its field (edited.rs): the last writer's is
\* taken, the cloud's own stays, what was deleted stays deleted.
Takes(c, e) ==
  /\ edits[e] \notin Owned \/ Wrong = "OwnerIgnored"
  /\ c.item[edits[e]].val # 0 \/ Wrong = "DeletedRevived"
Decided(c, e) ==
  [(IF Takes(c, e) THEN Committed(c, edits[e], EditValue(e), "till") ELSE c)
     EXCEPT !.decided = @ \cup {e}]
Decide(e) ==
  /\ e \in DOMAIN edits /\ e \notin cat.decided
  /\ InOrder => \A f \in 1 .. e - 1 : f \in cat.decided
  /\ cat' = Decided(cat, e)
  /\ hist' = IF Takes(cat, e) THEN Record(Decided(cat, e)) ELSE hist
  /\ ruled' = ruled \cup {<<e, Decided(cat, e).v>>}
  /\ amiss' = amiss \cup (IF Takes(cat, e) /\ cat.item[edits[e]].val = 0 THEN {"revived"} ELSE {})
  /\ UNCHANGED <<archive, plan, asked, till, backup, talk, left, edits>>

-----------------------------------------------------------------------------
(* Compaction (compaction.rs): a plan is a query, its step looks at all it rests on again.      *)

\* A till's question tells how far it has come.  It is noted after the answer, or later, or not.
\* `noted` are the tills whose leases stand in a row, live or lapsed: one that is renewed begins no
\* lease that a plan does not know.
Note(t) ==
  /\ asked[t] # <<>>
  /\ asked[t][1] <= cat.v /\ asked[t][1] >= cat.floor
  /\ cat' = [cat EXCEPT !.lease[t] = asked[t], !.noted = @ \cup {t},
                        !.begun = IF t \in cat.noted THEN @ ELSE @ + 1]
  /\ asked' = [asked EXCEPT ![t] = <<>>]
  /\ UNCHANGED <<archive, plan, till, backup, talk, left, edits, ruled, hist, amiss>>
\* A lease that nobody renews lapses; its row stays until a compaction.
Lapse(t) ==
  /\ left.lapses > 0 /\ cat.lease[t] # <<>> /\ left' = [left EXCEPT !.lapses = @ - 1]
  /\ cat' = [cat EXCEPT !.lease[t] = <<>>]
  /\ UNCHANGED <<archive, plan, asked, till, backup, talk, edits, ruled, hist, amiss>>

Leases(c) == {c.lease[t][1] : t \in {t \in TillSet : c.lease[t] # <<>>}}
Sweepable(c) == IF Leases(c) = {} \/ Wrong = "PastLease" THEN c.v ELSE Min(Least(Leases(c)), c.v)
Plan ==
  /\ left.plans > 0 /\ plan = <<>> /\ Sweepable(cat) > cat.swept
  /\ left' = [left EXCEPT !.plans = @ - 1]
  /\ plan' = <<[floor |-> cat.floor, swept |-> cat.swept, begun |-> cat.begun,
                to |-> Sweepable(cat),
                dead |-> {i \in Items : /\ cat.item[i].val = 0 /\ cat.item[i].ver <= Sweepable(cat)
                                        /\ cat.item[i].ver > cat.swept}]>>
  /\ UNCHANGED <<cat, archive, asked, till, backup, talk, edits, ruled, hist, amiss>>
Stale(p) ==
  \/ cat.floor # p.floor \/ cat.swept # p.swept \/ p.to > cat.v
  \/ cat.begun # p.begun
  \/ Wrong # "PastLease" /\ \E l \in Leases(cat) : l < p.to
\* A tombstone may have come back to life since; then it stands further on in the feed.
Gone(p) == {i \in p.dead : cat.item[i].val = 0 /\ cat.item[i].ver <= p.to /\ cat.item[i].ver > 0}
Compacted(p) ==
  [cat EXCEPT !.item = [i \in Items |-> IF i \in Gone(p) THEN None ELSE @[i]],
              !.swept = p.to, !.noted = {t \in @ : cat.lease[t] # <<>>},
              !.floor = IF Gone(p) = {} \/ Wrong = "FloorStays" THEN @
                        ELSE CHOOSE v \in {cat.item[i].ver : i \in Gone(p)} :
                               \A i \in Gone(p) : cat.item[i].ver <= v]
Compact ==
  /\ plan # <<>> /\ plan' = <<>>
  /\ cat' = IF Stale(plan[1]) THEN cat ELSE Compacted(plan[1])
  /\ UNCHANGED <<archive, asked, till, backup, talk, left, edits, ruled, hist, amiss>>

-----------------------------------------------------------------------------
(* The till asks (follow.rs, terminal/catalog.rs: wanted).                                      *)

\* For its decided edits it asks along (edits.rs: asked).
Asking(row) == {row.over[i] : i \in {i \in Items : row.over[i] \in row.done}}
Question(row) ==
  IF row.run # <<>> THEN [kind |-> "run", pinned |-> row.run[1].pinned, after |-> row.run[1].after]
  ELSE IF ~row.known THEN [kind |-> "run", pinned |-> <<>>, after |-> 0]
  ELSE [kind |-> "delta", from |-> row.at, edits |-> Asking(row)]
Ask(t) ==
  /\ talk[t].kind = "rest"
  /\ talk' = [talk EXCEPT ![t] = Question(till[t])]
  /\ asked' = [asked EXCEPT ![t] = IF Question(till[t]).kind = "delta" THEN <<till[t].at>>
                                   ELSE Question(till[t]).pinned]
  /\ UNCHANGED <<cat, archive, plan, till, backup, left, edits, ruled, hist, amiss>>

\* DELTA, first half: the edits, the head, the floor, and which entities stand above `from`.
\* Commits and compactions may come between both halves.
Resync == [kind |-> "resync"]
BeginDelta(t) ==
  /\ talk[t].kind = "delta"
  /\ talk' = [talk EXCEPT ![t] =
       IF @.from > cat.v \/ @.from < cat.floor THEN Resync
       ELSE [kind |-> "reading", from |-> @.from, edits |-> @.edits,
             held |-> @.edits \cap cat.decided, head |-> cat.v,
             found |-> {<<i, cat.item[i].ver>> : i \in {i \in Items : cat.item[i].ver > @.from}}]]
  /\ UNCHANGED <<cat, archive, plan, asked, till, backup, left, edits, ruled, hist, amiss>>
\* Second half: the contents of whole commits up to `to`, the floor again, and the head if nothing
\* was committed meanwhile.  Only who asks for edits, at the head, hears of them.  `truly` is known
\* to nobody: which edits the catalog had that this page proves.
Found(q, to) == {f[1] : f \in {f \in q.found : f[2] <= to /\ cat.item[f[1]].ver = f[2]}}
Delta(q, to) ==
  IF q.from < cat.floor /\ Wrong # "OneLookAtFloor" THEN Resync
  ELSE [kind |-> "page", from |-> q.from, to |-> to, edits |-> q.edits, held |-> q.held,
        changes |-> [i \in Found(q, to) |-> cat.item[i]],
        head |-> IF to = q.head /\ cat.v = q.head THEN <<Contents(cat.item)>> ELSE <<>>,
        truly |-> cat.decided]
EndDelta(t) ==
  /\ talk[t].kind = "reading"
  /\ \E to \in IF talk[t].from = talk[t].head THEN {talk[t].head}
               ELSE (talk[t].from + 1) .. talk[t].head :
       talk' = [talk EXCEPT ![t] = Delta(@, to)]
  /\ UNCHANGED <<cat, archive, plan, asked, till, backup, left, edits, ruled, hist, amiss>>
\* The mistake of asking for the edits last.
LookLate(t) ==
  /\ Wrong = "EditsLast" /\ talk[t].kind = "page"
  /\ talk' = [talk EXCEPT ![t].held = talk[t].edits \cap cat.decided]
  /\ UNCHANGED <<cat, archive, plan, asked, till, backup, left, edits, ruled, hist, amiss>>

\* A SNAPSHOT RUN: all entities between its ends, whole as of now, one at a time; it says from which
\* version a delta will complete it (cloud/catalog.rs: snapshot), and that is what is noted.
Beyond(after) == {i \in Items : i > after /\ cat.item[i].val # 0}
Run(q) ==
  [kind |-> "entities", after |-> q.after,
   pinned |-> IF q.pinned = <<>> \/ Wrong = "PinMoves" THEN cat.v ELSE q.pinned[1],
   last |-> IF Cardinality(Beyond(q.after)) > 1 THEN Least(Beyond(q.after)) ELSE 0,
   rows |-> IF Beyond(q.after) = {} THEN << >>
            ELSE <<[id |-> Least(Beyond(q.after)), row |-> cat.item[Least(Beyond(q.after))]]>>]
Snapshot(t) ==
  /\ talk[t].kind = "run"
  /\ talk' = [talk EXCEPT ![t] = Run(@)]
  /\ asked' = [asked EXCEPT ![t] = <<Run(talk[t]).pinned>>]
  /\ UNCHANGED <<cat, archive, plan, till, backup, left, edits, ruled, hist, amiss>>

-----------------------------------------------------------------------------
(* The till takes an answer, in one commit (terminal/catalog.rs).                               *)

\* A page: what is newer replaces what is there; at the head all rows must add up to the cloud's.
\* A proof ends what lies over, if the cloud says in the same answer that it has the edit.
Newer(row, m, i) == i \in DOMAIN m.changes /\ m.changes[i].ver > row.rows[i].ver
Row(ch) == IF ch.val = 0 THEN None ELSE ch
Paged(row, m) == [i \in Items |-> IF Newer(row, m, i) THEN Row(m.changes[i]) ELSE row.rows[i]]
Holds(row, m) == m.head # <<>> /\ m.head[1] = Contents(Paged(row, m))
Ended(row, m) ==
  IF ~Holds(row, m) THEN {}
  ELSE {i \in Items : /\ row.over[i] \in row.done
                      /\ \/ row.over[i] \in m.held
                         \/ Wrong = "AnyProofEnds"
                         \/ Wrong = "VersionEnds" /\
                              \E r \in ruled : r[1] = row.over[i] /\ r[2] <= m.to}
Over(row, ended) ==
  [row EXCEPT !.over = [i \in Items |-> IF i \in ended THEN 0 ELSE @[i]],
              !.done = {row.over[i] : i \in Items \ ended} \cap @]
TookPage(row, m) ==
  IF row.run # <<>> \/ m.from # row.at \/ ~row.known THEN row
  ELSE [Over(row, Ended(row, m)) EXCEPT
          !.rows = Paged(row, m), !.at = m.to, !.proven = Holds(row, m),
          !.drifts = IF m.head # <<>> /\ ~Holds(row, m) THEN 1 ELSE @,
          !.run = IF m.head # <<>> /\ ~Holds(row, m) THEN <<[pinned |-> <<>>, after |-> 0]>>
                  ELSE <<>>]
\* A run replaces exactly what lies between its ends: what is not in it does not exist.
Within(m, i) == i > m.after /\ (m.last = 0 \/ i <= m.last)
Listed(m, i) == \E x \in {m.rows[j] : j \in DOMAIN m.rows} : x.id = i
Replaced(row, m) ==
  [i \in Items |-> IF ~Within(m, i) THEN row.rows[i]
                   ELSE IF Listed(m, i) THEN m.rows[1].row ELSE None]
Expected(row, m) ==
  \/ row.run = <<>> /\ ~row.known /\ m.after = 0
  \/ row.run # <<>> /\ row.run[1].after = m.after
       /\ (row.run[1].pinned = <<>> \/ row.run[1].pinned[1] = m.pinned \/ Wrong = "PinMoves")
TookRun(row, m) ==
  IF ~Expected(row, m) THEN row
  ELSE IF m.last # 0
  THEN [row EXCEPT !.rows = Replaced(row, m), !.proven = FALSE,
                   !.run = <<[pinned |-> <<m.pinned>>, after |-> m.last]>>]
  ELSE [row EXCEPT !.rows = Replaced(row, m), !.proven = FALSE, !.run = <<>>,
                   !.at = m.pinned, !.known = TRUE]
TookResync(row) ==
  [row EXCEPT !.proven = FALSE, !.run = IF @ = <<>> THEN <<[pinned |-> <<>>, after |-> 0]>> ELSE @]
Took(row, m) ==
  CASE m.kind = "page" -> TookPage(row, m)
    [] m.kind = "resync" -> TookResync(row)
    [] OTHER -> TookRun(row, m)
\* An edit ended although the catalog that was proven did not have it.
Early(row, m) ==
  {row.over[i] : i \in {i \in Items : row.over[i] # 0 /\ Took(row, m).over[i] = 0}}
Take(t) ==
  /\ talk[t].kind \in {"page", "resync", "entities"}
  /\ till' = [till EXCEPT ![t] = Took(@, talk[t])]
  /\ amiss' = IF Early(till[t], talk[t]) = {} THEN amiss
              ELSE amiss \cup {"early" : e \in Early(till[t], talk[t]) \ talk[t].truly}
  /\ talk' = [talk EXCEPT ![t] = Rest]
  /\ UNCHANGED <<cat, archive, plan, asked, backup, left, edits, ruled, hist>>
\* The mistake of moving the version before the rows: a restart between both loses the page.
VersionEarly(t) ==
  /\ Wrong = "VersionBeforeRows" /\ talk[t].kind = "page"
  /\ till[t].run = <<>> /\ till[t].at = talk[t].from
  /\ till' = [till EXCEPT ![t].at = talk[t].to]
  /\ talk' = [talk EXCEPT ![t] = Rest]
  /\ UNCHANGED <<cat, archive, plan, asked, backup, left, edits, ruled, hist, amiss>>

-----------------------------------------------------------------------------
(* A till's own edits (terminal/edits.rs).  The rows stay the cloud's; the edit lies over, unless *)
(* it asks for what only the cloud decides.                                                      *)

Edit(i) ==
  /\ Len(edits) < EditsMax /\ till[1].rows[i].val # 0
  /\ edits' = Append(edits, i)
  /\ till' = [till EXCEPT ![1].over[i] = IF i \in Owned THEN 0 ELSE Len(edits) + 1,
                           ![1].done = @ \ {till[1].over[i]}]
  /\ UNCHANGED <<cat, archive, plan, asked, backup, talk, left, ruled, hist, amiss>>
\* The answer to the push.  It ends nothing: the catalog has to come first.  It may be a late one.
Hear(e) ==
  /\ \E r \in ruled : r[1] = e
  /\ \E i \in Items : till[1].over[i] = e
  /\ till' = [till EXCEPT ![1].done = @ \cup {e}]
  /\ UNCHANGED <<cat, archive, plan, asked, backup, talk, left, edits, ruled, hist, amiss>>

-----------------------------------------------------------------------------
(* What goes wrong.                                                                             *)

Interrupt(t) ==
  /\ left.strays > 0 /\ talk[t].kind # "rest" /\ left' = [left EXCEPT !.strays = @ - 1]
  /\ talk' = [talk EXCEPT ![t] = Rest]
  /\ UNCHANGED <<cat, archive, plan, asked, till, backup, edits, ruled, hist, amiss>>
Backup(t) ==
  /\ left.tills > 0 /\ backup[t] = <<>>
  /\ backup' = [backup EXCEPT ![t] = <<till[t]>>]
  /\ UNCHANGED <<cat, archive, plan, asked, till, talk, left, edits, ruled, hist, amiss>>
RestoreTill(t) ==
  /\ left.tills > 0 /\ backup[t] # <<>> /\ left' = [left EXCEPT !.tills = @ - 1]
  /\ till' = [till EXCEPT ![t] = backup[t][1]] /\ backup' = [backup EXCEPT ![t] = <<>>]
  /\ talk' = [talk EXCEPT ![t] = Rest]
  /\ UNCHANGED <<cat, archive, plan, asked, edits, ruled, hist, amiss>>
Archive ==
  /\ left.clouds > 0 /\ archive = <<>> /\ archive' = <<cat>>
  /\ UNCHANGED <<cat, plan, asked, till, backup, talk, left, edits, ruled, hist, amiss>>
\* Questions that are being answered die with the cloud; answers that left it may still arrive.
RestoreCloud ==
  /\ left.clouds > 0 /\ archive # <<>> /\ left' = [left EXCEPT !.clouds = @ - 1]
  /\ cat' = archive[1] /\ archive' = <<>> /\ plan' = <<>>
  /\ asked' = [t \in TillSet |-> <<>>]
  /\ talk' = [t \in TillSet |-> IF talk[t].kind = "reading" THEN Rest ELSE talk[t]]
  /\ UNCHANGED <<till, backup, edits, ruled, hist, amiss>>

Next ==
  \/ \E i \in Items : Write(i)
  \/ \E e \in 1 .. EditsMax : Decide(e)
  \/ \E t \in TillSet : Note(t)
  \/ \E t \in TillSet : Lapse(t)
  \/ Plan
  \/ Compact
  \/ \E t \in TillSet : Ask(t)
  \/ \E t \in TillSet : BeginDelta(t)
  \/ \E t \in TillSet : EndDelta(t)
  \/ \E t \in TillSet : LookLate(t)
  \/ \E t \in TillSet : Snapshot(t)
  \/ \E t \in TillSet : Take(t)
  \/ \E t \in TillSet : VersionEarly(t)
  \/ \E i \in Items : Edit(i)
  \/ \E e \in 1 .. EditsMax : Hear(e)
  \/ \E t \in TillSet : Interrupt(t)
  \/ \E t \in TillSet : Backup(t)
  \/ \E t \in TillSet : RestoreTill(t)
  \/ Archive
  \/ RestoreCloud

Spec == Init /\ [][Next]_vars

\* A till that runs asks again and again and is answered; its edits are decided, and it hears so.
FairSpec ==
  /\ Spec
  /\ \A t \in TillSet : /\ WF_vars(Ask(t)) /\ WF_vars(BeginDelta(t)) /\ WF_vars(EndDelta(t))
                        /\ WF_vars(Snapshot(t)) /\ WF_vars(Take(t))
  /\ \A e \in 1 .. EditsMax : WF_vars(Decide(e)) /\ WF_vars(Hear(e))

-----------------------------------------------------------------------------
(* Laws.                                                                                        *)

CloudOnce == left.clouds = CloudRestores   \* the cloud was never restored
CatalogConverges ==
  \A t \in TillSet :
    \* Who is proven at a version has what was the cloud's there.
    /\ till[t].proven => <<till[t].at, Contents(till[t].rows)>> \in hist \/ till[t].at = 0
    \* As long as the cloud keeps what it has, no page leads a till astray, and none is told to
    \* begin anew while its lease lives.
    /\ CloudOnce => till[t].drifts = 0
    /\ cat.lease[t] # <<>> => cat.floor <= cat.lease[t][1]
    \* A snapshot that is under way is not believed yet.
    /\ till[t].run # <<>> => ~till[t].proven

\* Rows hold what the cloud had; the cloud's fields come from the cloud; an edit brings nothing
\* back to life, and lies over until a catalog with it is proven.
OwnershipHolds ==
  /\ amiss = {}
  /\ \A i \in Items : cat.by[i] = "till" => i \notin Owned
  /\ \A t \in TillSet : \A i \in Items : till[t].rows[i].val # 0 =>
       \E h \in hist : h[2][i] = till[t].rows[i].val

\* Of two edits of one field at one till the later one stands in the end.
LaterEditStands ==
  \A i \in Items : \A e \in cat.decided : \A f \in cat.decided :
    e < f /\ edits[e] = i /\ edits[f] = i => cat.item[i].val # EditValue(e)

\* Within one history of the cloud a till's version never goes back.
NeverBack ==
  [][\A t \in TillSet : CloudOnce /\ till[t].known /\ left'.tills = left.tills
       => till'[t].at >= till[t].at]_vars

Converges ==
  <>[](\A t \in TillSet : till[t].known /\ Contents(till[t].rows) = Contents(cat.item))
EditsEnd == <>[](\A i \in Items : till[1].over[i] = 0)

-----------------------------------------------------------------------------
(* The refinement mapping: a proven catalog is a claim to a copy.  Edits are facts, made at till *)
(* 1 and in force at the cloud.                                                                  *)

C == INSTANCE Contract WITH
  Facts  <- 1 .. EditsMax,
  Places <- {0} \cup TillSet,
  Reach  <- (1 .. EditsMax) \X {0},
  made   <- DOMAIN edits,
  owed   <- {till[1].over[i] : i \in Items} \ {0},
  effect <- [p \in {0} \cup TillSet |->
               [e \in 1 .. EditsMax |-> IF p = 0 /\ e \in cat.decided THEN 1 ELSE 0]],
  lost   <- [p \in {0} \cup TillSet |->
               IF p = 0 THEN {r[1] : r \in ruled} \ cat.decided ELSE {}],
  told   <- [p \in {0} \cup TillSet |-> IF p = 0 THEN till[1].done ELSE {}],
  truth  <- hist,
  copy   <- [p \in {0} \cup TillSet |->
               IF p = 0 THEN <<0, "nowhere">>
               ELSE IF till[p].proven /\ till[p].at > 0
               THEN <<till[p].at, Contents(till[p].rows)>> ELSE <<0, "nowhere">>]
Refines == C!Spec

-----------------------------------------------------------------------------
(* Sanity: each is reached.                                                                     *)

SomeProven   == \E t \in TillSet : till[t].proven /\ till[t].at > 1
SomeDrift    == \E t \in TillSet : till[t].drifts > 0
SomeResync   == \E t \in TillSet : talk[t].kind = "resync"
SomeRuns     == \E t \in TillSet : till[t].run # <<>> /\ till[t].run[1].after > 0
SomeFloor    == cat.floor > 0
SomeStale    == plan # <<>> /\ Stale(plan[1])
SomeCut      == \E t \in TillSet : talk[t].kind = "page" /\ talk[t].head = <<>>
SomeOver     == \E i \in Items : till[1].over[i] \in till[1].done
SomeEnded    == \E e \in DOMAIN edits : e \in cat.decided /\ \A i \in Items : till[1].over[i] # e
SomeKept     == \E e \in cat.decided : edits[e] \in Owned
SomeDeleted  == \E e \in cat.decided : cat.by[edits[e]] = "cloud" /\ cat.item[edits[e]].val = 0
OlderEditStands == ~LaterEditStands
SomeUndone   == \E e \in DOMAIN edits : e \notin cat.decided /\ \E r \in ruled : r[1] = e
==============================================================================
