------------------------------ MODULE Reconcile ------------------------------
(***************************************************************************)
(* What silently differs: a till compares its rows with the cloud's, makes *)
(* a plan of what it found, and applies it, all or nothing, while damage,  *)
(* the till's own edits, the feed and the cloud's commits go on beside it. *)
(*                                                                         *)
(*   census  ->  which rows differ?  ->  the rows  ->  plan  ->  apply     *)
(*   (till)      (cloud, at a head)      (cloud)       (till)    (till)    *)
(*                                                                         *)
(* Code: protocol/src/reconcile/{verify,plan}.rs,                          *)
(* protocol/src/terminal/reconcile.rs.  The sketch is taken to tell        *)
(* exactly which rows differ; a digest of rows IS these rows.  The sum     *)
(* that a till keeps is more: what was added, less what was taken away.    *)
(* The feed is that of Catalog, in one step: a delta to the head.          *)
(***************************************************************************)
EXTENDS Integers, Sequences, FiniteSets

CONSTANTS
  ItemsMax,      \* entities 1 .. ItemsMax
  Writes,        \* commits of the cloud
  Damages,       \* rows, or sums, that go wrong on the till
  EditsMax,      \* edits on this till
  Compactions,   \* how often tombstones leave the cloud
  Wrong          \* "none", or the name of a mistake

VARIABLES
  cloud,     \* version, rows, floor, and whose pending edits it has decided (durable)
  till,      \* version, rows, the sum it keeps, pending edits, whether proven (durable)
  check,     \* a comparison under way: kind, and what it has (volatile)
  left,      \* what may still happen
  hist,      \* history: <<version, contents>> of the cloud
  applied    \* history: what the last application found and left; a sequence of at most one

vars == <<cloud, till, check, left, hist, applied>>

Items == 1 .. ItemsMax
None  == [val |-> 0, ver |-> 0]
Contents(rows) == [i \in Items |-> rows[i].val]
Idle  == [kind |-> "idle"]

\* What may stand in a row: what it is at first, what commits write, and an edit; or damage.
First(i)     == 100 + i
EditValue(i) == 200 + i
Damaged == 99
Stray   == 98
Values(i) == (1 .. Writes) \cup {Stray, Damaged, First(i), EditValue(i)}
\* A sum of hashes: how often each stands in it.  What was never added can be taken away, too.
Bag(c)      == [i \in Items |-> [x \in Values(i) |-> IF c[i] = x THEN 1 ELSE 0]]
Less(s, c)  == [i \in Items |-> [x \in Values(i) |-> s[i][x] - (IF c[i] = x THEN 1 ELSE 0)]]
Plus(s, c)  == [i \in Items |-> [x \in Values(i) |-> s[i][x] + (IF c[i] = x THEN 1 ELSE 0)]]

Init ==
  /\ cloud = [v |-> 1, rows |-> [i \in Items |-> [val |-> First(i), ver |-> 1]], floor |-> 0,
              decided |-> {}]
  /\ till = [at |-> 1, rows |-> cloud.rows, sum |-> Bag(Contents(cloud.rows)), run |-> FALSE,
             edits |-> {}, proven |-> TRUE]
  /\ check = Idle
  /\ left = [writes |-> Writes, damages |-> Damages, edits |-> EditsMax, plans |-> Compactions]
  /\ hist = {<<1, Contents(cloud.rows)>>}
  /\ applied = <<>>

-----------------------------------------------------------------------------
(* Beside the comparison.                                                                       *)

Write(i) ==
  /\ left.writes > 0 /\ left' = [left EXCEPT !.writes = @ - 1]
  /\ \E val \in {left.writes} \cup (IF cloud.rows[i].val # 0 THEN {0} ELSE {}) :
       cloud' = [cloud EXCEPT !.v = @ + 1, !.rows[i] = [val |-> val, ver |-> cloud.v + 1]]
  /\ hist' = hist \cup {<<cloud'.v, Contents(cloud'.rows)>>}
  /\ UNCHANGED <<till, check, applied>>
\* All tombstones go; the floor is the newest deletion that went.
Dead == {i \in Items : cloud.rows[i].val = 0 /\ cloud.rows[i].ver > 0}
Newest(S) == CHOOSE n \in S : \A m \in S : m <= n
Compact ==
  /\ left.plans > 0 /\ Dead # {} /\ left' = [left EXCEPT !.plans = @ - 1]
  /\ cloud' = [cloud EXCEPT !.rows = [i \in Items |-> IF i \in Dead THEN None ELSE @[i]],
                            !.floor = Newest({cloud.rows[i].ver : i \in Dead})]
  /\ UNCHANGED <<till, check, hist, applied>>
\* A row is lost, or is another; or the sum that the till keeps is wrong.
Damage(i) ==
  /\ left.damages > 0 /\ left' = [left EXCEPT !.damages = @ - 1]
  /\ \/ \E val \in {0, 99} :
          till' = [till EXCEPT !.rows[i] = IF val = 0 THEN None ELSE [@ EXCEPT !.val = val]]
     \/ till' = [till EXCEPT !.sum[i] = [x \in Values(i) |->
                                          till.sum[i][x] + (IF x = Stray THEN 1 ELSE 0)]]
  /\ UNCHANGED <<cloud, check, hist, applied>>
\* Somebody edits a row; the cloud decides, and answers some time.  What is deleted stays so, and
\* what is so already needs no commit.
Edit(i) ==
  /\ left.edits > 0 /\ i \notin till.edits /\ till.rows[i].val # 0
  /\ left' = [left EXCEPT !.edits = @ - 1]
  /\ till' = [till EXCEPT !.edits = @ \cup {i}]
  /\ UNCHANGED <<cloud, check, hist, applied>>
Decide(i) ==
  /\ i \in till.edits \ cloud.decided
  /\ cloud' = IF cloud.rows[i].val \in {0, EditValue(i)} THEN [cloud EXCEPT !.decided = @ \cup {i}]
              ELSE [cloud EXCEPT !.decided = @ \cup {i}, !.v = @ + 1,
                                 !.rows[i] = [val |-> EditValue(i), ver |-> cloud.v + 1]]
  /\ hist' = hist \cup {<<cloud'.v, Contents(cloud'.rows)>>}
  /\ UNCHANGED <<till, check, left, applied>>
Answered(i) ==
  /\ i \in till.edits \cap cloud.decided
  /\ till' = [till EXCEPT !.edits = @ \ {i}] /\ cloud' = [cloud EXCEPT !.decided = @ \ {i}]
  /\ UNCHANGED <<check, left, hist, applied>>
\* A delta to the head, which may be where the till is.  What stands here is taken out of the sum,
\* whether it is what was once taken in or not: a row that was damaged, and then changed, leaves the
\* sum wrong.  A sum that is not the cloud's means drift, and a snapshot from scratch.
Newer(i) == cloud.rows[i].ver > till.at /\ cloud.rows[i].ver > till.rows[i].ver
After    == [i \in Items |-> IF Newer(i) THEN IF cloud.rows[i].val = 0 THEN None ELSE cloud.rows[i]
                             ELSE till.rows[i]]
Added    == Plus(Less(till.sum, Contents(till.rows)), Contents(After))
Delta ==
  /\ ~till.run
  /\ till' = IF till.at < cloud.floor THEN [till EXCEPT !.run = TRUE, !.proven = FALSE]
             ELSE [till EXCEPT !.at = cloud.v, !.rows = After, !.sum = Added,
                               !.proven = (Added = Bag(Contents(cloud.rows))),
                               !.run = (Added # Bag(Contents(cloud.rows)))]
  /\ UNCHANGED <<cloud, check, left, hist, applied>>
Snapshot ==
  /\ till.run
  /\ till' = [till EXCEPT !.run = FALSE, !.at = cloud.v, !.proven = FALSE,
                !.rows = [i \in Items |-> IF cloud.rows[i].val = 0 THEN None ELSE cloud.rows[i]],
                !.sum = Bag(Contents(cloud.rows))]
  /\ UNCHANGED <<cloud, check, left, hist, applied>>

-----------------------------------------------------------------------------
(* The comparison (verify.rs).  It is volatile: whatever does not fit, it begins again.         *)

\* CENSUS: the rows are counted anew; sums that the till keeps are not believed.
Census ==
  /\ check = Idle /\ ~till.run
  /\ check' = [kind |-> "ask", from |-> till.at, rows |-> Contents(till.rows),
               stored |-> till.sum]
  /\ UNCHANGED <<cloud, till, left, hist, applied>>
\* WHICH DIFFER, as of the cloud's head.  A till that is ahead begins again (here no cloud is
\* restored); if nothing differs, there is nothing to ask for.
Differ(c) == {i \in Items : c[i] # cloud.rows[i].val}
Cells ==
  /\ check.kind = "ask"
  /\ check' = IF cloud.v < check.from THEN Idle
              ELSE IF Differ(check.rows) = {}
              THEN [kind |-> "ready", from |-> check.from, rows |-> check.rows,
                    stored |-> check.stored, head |-> cloud.v, digest |-> Contents(cloud.rows),
                    there |-> [i \in {} |-> None]]
              ELSE [kind |-> "fetch", from |-> check.from, rows |-> check.rows,
                    stored |-> check.stored, head |-> cloud.v, digest |-> Contents(cloud.rows),
                    found |-> Differ(check.rows)]
  /\ UNCHANGED <<cloud, till, left, hist, applied>>
\* THE ROWS, as the cloud has them by now: a change, a tombstone, or nothing of that name.  If the
\* catalog is another by now, or a tombstone that the till has not heard of has left: begin again.
Fetch ==
  /\ check.kind = "fetch"
  /\ check' = IF \/ Contents(cloud.rows) # check.digest /\ Wrong # "MixedAnswers"
                 \/ cloud.floor > check.from
              THEN Idle
              ELSE [kind |-> "ready", from |-> check.from, rows |-> check.rows,
                    stored |-> check.stored, head |-> check.head, digest |-> check.digest,
                    there |-> [i \in check.found |-> cloud.rows[i]]]
  /\ UNCHANGED <<cloud, till, left, hist, applied>>

\* THE PLAN (plan.rs): what was edited here waits for its answer; what is newer in the cloud comes
\* with the next delta; all else becomes what the cloud has.  With anything kept the till stays at
\* its version.  What it leads to is summed up beforehand, and must be the cloud's digest, with the
\* till's own rows in place of those that are kept.
Kept(c)   == {i \in DOMAIN c.there :
               \/ i \in till.edits /\ Wrong # "EditsIgnored"
               \/ c.there[i].ver > c.from /\ Wrong # "MixedAnswers"}
Acts(c)   == DOMAIN c.there \ Kept(c)
Leads(c)  == [i \in Items |-> IF i \in Acts(c) THEN c.there[i].val ELSE c.rows[i]]
Expects(c)== [i \in Items |-> IF i \in Kept(c) THEN c.rows[i] ELSE c.digest[i]]
Made(c)   == [kind |-> "plan", from |-> c.from, before |-> c.rows, stored |-> c.stored,
              digest |-> c.digest, kept |-> Kept(c),
              version |-> IF Kept(c) = {} THEN c.head ELSE c.from,
              after |-> Leads(c), there |-> [i \in Acts(c) |-> c.there[i]]]
\* (Here the sums always fit: the two checks before are enough, as long as the sketch is right.)
\* Each row that the plan is about must be as the census saw it.
Unchanged(c) == \A i \in DOMAIN c.there : till.rows[i].val = c.rows[i]
MakePlan ==
  /\ check.kind = "ready"
  /\ check' = IF (Leads(check) # Expects(check) /\ Wrong # "MixedAnswers") \/ ~Unchanged(check)
              THEN Idle ELSE Made(check)
  /\ UNCHANGED <<cloud, till, left, hist, applied>>

\* APPLY (terminal/reconcile.rs): in one transaction, if all is still as the plan saw it: where the
\* catalog stands, the sum that is kept, the rows counted anew, each row that changes, and that
\* nobody has edited one of them.
Fits(p) ==
  /\ ~till.run /\ till.at = p.from /\ till.sum = p.stored
  /\ Wrong = "RowsNotCompared" \/ Contents(till.rows) = p.before
  /\ Wrong = "EditsIgnored" \/ till.edits \cap DOMAIN p.there = {}
Written(p) ==
  [i \in Items |-> IF i \in DOMAIN p.there
                   THEN IF p.there[i].val = 0 THEN None ELSE p.there[i]
                   ELSE till.rows[i]]
Applied(p) ==
  [till EXCEPT !.rows = Written(p), !.at = p.version, !.sum = Bag(p.after),
               !.proven = (p.kept = {})]
Apply ==
  /\ check.kind = "plan" /\ check' = Idle
  /\ IF Fits(check)
     THEN /\ till' = Applied(check)
          /\ applied' = <<[plan |-> check, edits |-> till.edits, before |-> till.rows,
                           now |-> Written(check), at |-> check.version]>>
     ELSE UNCHANGED <<till, applied>>
  /\ UNCHANGED <<cloud, left, hist>>
\* Whoever reads the plan may leave it, and the program may end.
Leave ==
  /\ check # Idle /\ check' = Idle
  /\ UNCHANGED <<cloud, till, left, hist, applied>>

Next ==
  \/ \E i \in Items : Write(i)
  \/ Compact
  \/ \E i \in Items : Damage(i)
  \/ \E i \in Items : Edit(i)
  \/ \E i \in Items : Decide(i)
  \/ \E i \in Items : Answered(i)
  \/ Delta
  \/ Snapshot
  \/ Census
  \/ Cells
  \/ Fetch
  \/ MakePlan
  \/ Apply
  \/ Leave

Spec == Init /\ [][Next]_vars
\* Comparisons go on and on and are not left for ever, the feed is followed, edits are answered.
FairSpec ==
  /\ Spec
  /\ WF_vars(Delta) /\ WF_vars(Snapshot)
  /\ SF_vars(Census) /\ SF_vars(Cells) /\ SF_vars(Fetch) /\ SF_vars(MakePlan) /\ SF_vars(Apply)
  /\ \A i \in Items : WF_vars(Decide(i)) /\ WF_vars(Answered(i))

-----------------------------------------------------------------------------
(* Laws.                                                                                        *)

\* Applying a plan makes the catalog the cloud's, as it was compared with, but for what it keeps:
\* that stays as it was, and so does each row with unsynced work.  If nothing is kept, it is the
\* cloud's at the plan's version.  (If something is kept, the version stays behind, and a row that
\* was lost here and deleted there since may be as it is at the head already; the next delta
\* settles it.)
PlanIsSafe ==
  applied = <<>> \/
  LET a == applied[1]  kept == a.plan.kept IN
  /\ \A i \in Items : i \in kept \/ a.now[i].val = a.plan.digest[i]
  /\ \A i \in kept : a.now[i] = a.before[i]
  /\ \A i \in a.edits : a.now[i] = a.before[i]
  /\ kept = {} => <<a.at, Contents(a.now)>> \in hist

\* What is proven is the cloud's, unless a row was damaged since; and what a plan has proven is so
\* without any damage left.
CatalogConverges ==
  /\ till.proven /\ left.damages = Damages => <<till.at, Contents(till.rows)>> \in hist
  /\ applied # <<>> /\ applied[1].plan.kept = {} =>
       \E h \in hist : h = <<applied[1].at, Contents(applied[1].now)>>

\* In the end the till has the cloud's catalog, whatever was damaged: the last comparison sees it.
Converges == <>[](Contents(till.rows) = Contents(cloud.rows))

-----------------------------------------------------------------------------
(* The refinement mapping: a proof is a claim; damage since takes it back.                       *)

Claims == till.proven /\ <<till.at, Contents(till.rows)>> \in hist
C == INSTANCE Contract WITH
  Facts  <- {},
  Places <- {"till"},
  Reach  <- {},
  made   <- {}, owed <- {},
  effect <- [p \in {"till"} |-> [f \in {} |-> 0]],
  lost   <- [p \in {"till"} |-> {}],
  told   <- [p \in {"till"} |-> {}],
  truth  <- hist,
  copy   <- [p \in {"till"} |->
    IF till.proven /\ left.damages = Damages THEN <<till.at, Contents(till.rows)>>
    ELSE <<0, "nowhere">>]
Refines == C!Spec

-----------------------------------------------------------------------------
(* Sanity: each is reached.                                                                     *)

SomePlan     == check.kind = "plan" /\ DOMAIN check.there # {}
SomeApplied  == applied # <<>> /\ applied[1].now # applied[1].before
SomeDelete   == applied # <<>> /\ \E i \in Items :
                  applied[1].now[i].val = 0 /\ applied[1].before[i].val # 0
SomeKept     == applied # <<>> /\ applied[1].plan.kept # {} /\ applied[1].now # applied[1].before
SomeStale    == check.kind = "plan" /\ ~Fits(check)
SomeEdited   == check.kind = "plan" /\ till.edits \cap DOMAIN check.there # {}
SomeMoved    == check.kind = "fetch" /\ Contents(cloud.rows) # check.digest
SomeLeap     == applied # <<>> /\ applied[1].at > applied[1].plan.from
SomeSum      == applied # <<>> /\ applied[1].plan.stored # Bag(applied[1].plan.before)
SomeLeft     == till.run /\ till.rows = cloud.rows /\ till.sum # Bag(Contents(till.rows))
==============================================================================
