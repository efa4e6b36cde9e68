------------------------------- MODULE System --------------------------------
(***************************************************************************)
(* A small composition: Journal and Inbox over the same two disks.  Till 1 *)
(* sells; the cloud lets its sibling, till 2, hear of each sale in the     *)
(* transaction that posts it (cloud/ingest.rs: relay); a backup of the     *)
(* cloud, or of till 1, holds both modules' rows, and so does its return.  *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  SalesMax, TillRestores, CloudRestores, WitnessSees,
  Askers,    \* the tills that ask for inventory events
  Wrong

VARIABLES
  disk, backup, cloud, archive, product, req, batch, ans, greeted, epochs, left, born, ever,
  printed,                                                             \* as in Journal
  feed, acked, feedBackup, till, tillBackup, talk, stray, budget, placed, had   \* in Inbox

journal == <<disk, backup, cloud, archive, product, req, batch, ans, greeted, epochs, left, born,
             ever, printed>>
inbox == <<feed, acked, feedBackup, till, tillBackup, talk, stray, budget, placed, had>>
vars == <<journal, inbox>>

J == INSTANCE Journal WITH
  Tills <- 1, Copies <- 0, ItemsMax <- 2, BatchMax <- 1, AttemptsMax <- 2, Unknown <- {},
  Refunds <- {}, SameNames <- FALSE, General <- FALSE, Calm <- FALSE, Late <- 0, Dups <- 0,
  CloudCrashes <- 0
I == INSTANCE Inbox WITH
  Tills <- 2, OrdersMax <- SalesMax, Foreign <- {}, Relayed <- 1 .. SalesMax,
  Backwards <- FALSE, PageMax <- 1, Strays <- 0

Sales == 1 .. SalesMax
Init == J!Init /\ I!Init

-----------------------------------------------------------------------------
\* One transaction: what is posted for the first time takes its place in the feed of the branch.
Posted(c) == {s \in Sales : c.count[s] > 0}
RECURSIVE Rising(_)
Rising(S) == IF S = {} THEN <<>>
             ELSE LET n == CHOOSE n \in S : \A m \in S : n <= m IN <<n>> \o Rising(S \ {n})
New == Posted(cloud') \ Posted(cloud)
Commit ==
  /\ J!Commit
  /\ feed' = IF Wrong = "RelayLater" THEN feed ELSE [feed EXCEPT ![1] = @ \o Rising(New)]
  /\ placed' = placed \cup New
  /\ UNCHANGED <<acked, feedBackup, till, tillBackup, talk, stray, budget, had>>
\* The mistake of telling siblings in a transaction of its own, of what was posted in this life.
RelayLater ==
  /\ Wrong = "RelayLater" /\ Posted(cloud) \ I!Range(feed[1]) # {} /\ cloud.lanes # {}
  /\ left.clouds = CloudRestores
  /\ feed' = [feed EXCEPT ![1] = @ \o Rising(Posted(cloud) \ I!Range(feed[1]))]
  /\ UNCHANGED <<journal, acked, feedBackup, till, tillBackup, talk, stray, budget, placed,
                 had>>

Sell == J!Sell(1) /\ UNCHANGED inbox
Speak == (J!Hello(1) \/ J!Push(1)) /\ UNCHANGED inbox
Hear == (J!Receive(1) \/ J!Adopt(1) \/ J!Idle(1)) /\ UNCHANGED inbox
Stage == J!Stage(1) /\ UNCHANGED inbox
Ask(t) == I!Ask(t) /\ UNCHANGED journal
Answer(t) == I!Answer(t) /\ UNCHANGED journal
Deliver(t) == I!Deliver(t) /\ UNCHANGED journal

\* A disk is one: what a backup brings back, it brings back of everything.
Backup == J!Backup(1) /\ I!Backup(1)
RestoreTill == J!RestoreTill(1) /\ I!RestoreTill(1)
Archive == J!Archive /\ I!Archive
RestoreCloud == J!RestoreCloud /\ I!RestoreCloud

Next ==
  \/ Sell
  \/ Speak
  \/ Hear
  \/ Stage
  \/ Commit
  \/ RelayLater
  \/ \E t \in Askers : Ask(t)
  \/ \E t \in Askers : Answer(t)
  \/ \E t \in Askers : Deliver(t)
  \/ Backup
  \/ RestoreTill
  \/ Archive
  \/ RestoreCloud

Spec == Init /\ [][Next]_vars
FairSpec ==
  /\ Spec
  /\ WF_vars(Speak) /\ WF_vars(Hear) /\ WF_vars(Stage) /\ WF_vars(Commit)
  /\ \A t \in Askers : SF_vars(Ask(t)) /\ WF_vars(Answer(t)) /\ WF_vars(Deliver(t))

-----------------------------------------------------------------------------
(* Laws.                                                                                        *)

NoDuplicate == J!NoDuplicate /\ I!InboxOnce
NeverForgotten == J!NeverForgotten
AckedIsDurable == J!AckedIsDurable
\* What counts in the cloud is what the branch hears of: its stock is one sum, told twice.
StockIsSum == I!StockIsSum /\ I!Range(feed[1]) = Posted(cloud)
\* Every sale that counts moves the sibling's stock in the end, once.
ZeroLoss == <>[](/\ \A e \in J!Entries(disk[1]) : cloud.count[e.sale] = 1
                 /\ 2 \in Askers => \A s \in Posted(cloud) : s \in till[2].applied)
\* Known limit: a restored till has lost its own sales since the backup, and is never told of them
\* by the relay, as they were its own: its view of the stock differs from then on.
OwnSales == {e.sale : e \in J!Entries(disk[1])}
ViewsAgree == <>[](Posted(cloud) \subseteq OwnSales \cup till[1].applied)

C == INSTANCE Contract WITH
  Facts  <- Sales,
  Places <- {1, 2},   \* 1 stands for the cloud, 2 for the sibling
  Reach  <- Sales \X {1, 2},
  made   <- {b[3] : b \in born},
  owed   <- OwnSales,
  effect <- [p \in {1, 2} |-> IF p = 1 THEN cloud.count ELSE [s \in Sales |-> I!Times(2, s)]],
  lost   <- [p \in {1, 2} |-> IF p = 1 THEN {s \in ever : cloud.count[s] = 0} ELSE {}],
  told   <- [p \in {1, 2} |-> IF p = 1 THEN J!Believed(disk[1]) ELSE {}],
  truth  <- {},
  copy   <- [p \in {1, 2} |-> <<0, "nowhere">>]
Refines == C!Spec

(* Sanity: each is reached. *)
SomeHeard   == till[2].applied # {}
SomeLost    == Posted(cloud) \ (OwnSales \cup till[1].applied) # {}
SomeBehind  == \E s \in till[2].applied : cloud.count[s] = 0
==============================================================================
