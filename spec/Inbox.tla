-------------------------------- MODULE Inbox --------------------------------
(***************************************************************************)
(* The inventory inbox: how an event that the cloud has committed (an      *)
(* online order, a sibling till's sale) comes to move the stock of each    *)
(* till of its branch, once.                                               *)
(*                                                                         *)
(*   the cloud   a feed for each branch; what each till has acknowledged   *)
(*   a till      its place in the feed; what it has applied, for ever      *)
(*                                                                         *)
(* Code: protocol/src/cloud/inbox/feed.rs, protocol/src/terminal/inbox.rs, *)
(* protocol/src/session/inbox.rs.  A place is a number and a chain hash    *)
(* over everything before it: here it IS that prefix of the feed.  An      *)
(* event's id is a digest of what it comes from, so a cloud that was       *)
(* restored and is told of an order again gives it the same id: here an    *)
(* event IS its order.                                                     *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Tills,         \* tills 1 .. Tills, all of branch 1
  OrdersMax,     \* how many orders there may be
  Foreign,       \* the orders of branch 2
  Relayed,       \* the events that are relayed sales of till 1
  Backwards,     \* later orders carry earlier times
  PageMax,       \* events in a page (500 in code)
  Strays,        \* how often a message comes late, or a second time, or not at all
  TillRestores, CloudRestores,
  Wrong          \* "none", or the name of a mistake

VARIABLES
  feed,      \* feed[b]: the events of a branch, in the order of their commits (cloud, durable)
  acked,     \* acked[t]: how far till t has acknowledged (cloud, durable)
  feedBackup, \* the cloud's backup: a sequence of at most one
  till,      \* till[t]: a till's rows (durable)
  tillBackup, \* tillBackup[t]: the same, as they were once: a sequence of at most one
  talk,      \* talk[t]: what till t asks, or is told, or acknowledges (volatile)
  stray,     \* messages that nobody waits for any more, and that may arrive all the same
  budget,    \* what may still go wrong
  placed,    \* history: orders that were ever committed
  had        \* history: had[t]: events that any disk of till t has ever applied

vars == <<feed, acked, feedBackup, till, tillBackup, talk, stray, budget, placed, had>>

TillSet   == 1 .. Tills
Orders    == 1 .. OrdersMax
Branch(o) == IF o \in Foreign THEN 2 ELSE 1
Own(t, o) == t = 1 /\ o \in Relayed
Created(o) == IF Backwards THEN OrdersMax - o ELSE o

Range(s)  == {s[i] : i \in DOMAIN s}
Min(a, b) == IF a < b THEN a ELSE b
RECURSIVE Flat(_)
Flat(ss)  == IF ss = <<>> THEN <<>> ELSE Head(ss) \o Flat(Tail(ss))
Prefix(s, of) == Len(s) <= Len(of) /\ s = SubSeq(of, 1, Len(s))

\* The events of a set in the order in which they are applied: (created_at, event_id).
RECURSIVE Sorted(_)
Sorted(S) ==
  IF S = {} THEN <<>>
  ELSE LET o == CHOOSE o \in S : \A p \in S : Created(o) <= Created(p)
       IN <<o>> \o Sorted(S \ {o})

\* `place`: each event up to here is applied; `applied`: the rows that decide "once"; `pages`: the
\* movements, commit by commit; `stock`: what they add up to.
Installed == [place |-> <<>>, applied |-> {}, pages |-> <<>>, stock |-> 0]
Rest == [kind |-> "rest"]

Init ==
  /\ feed = [b \in {1, 2} |-> <<>>]
  /\ acked = [t \in TillSet |-> 0]
  /\ feedBackup = <<>>
  /\ till = [t \in TillSet |-> Installed]
  /\ tillBackup = [t \in TillSet |-> <<>>]
  /\ talk = [t \in TillSet |-> Rest]
  /\ stray = {}
  /\ budget = [strays |-> Strays, tills |-> TillRestores, clouds |-> CloudRestores]
  /\ placed = {}
  /\ had = [t \in TillSet |-> {}]

-----------------------------------------------------------------------------
(* The cloud.                                                                                   *)

\* AN ORDER takes the branch's next place in its transaction (inbox/orders.rs, feed.rs: append).
\* The same order again changes nothing.
Place(o) ==
  /\ o \notin Range(feed[Branch(o)])
  /\ feed' = [feed EXCEPT ![Branch(o)] = Append(@, o)]
  /\ placed' = placed \cup {o}
  /\ UNCHANGED <<acked, feedBackup, till, tillBackup, talk, stray, budget, had>>

\* WHAT IS PENDING (feed.rs: pending): after the place that the till names, if it is one of this
\* feed as it stands; else the till is told to begin anew.  A till's own movements are left out.
Known(place, f) == IF Wrong = "NumbersOnly" THEN Len(place) <= Len(f) ELSE Prefix(place, f)
Page(t, after, f) ==
  LET to == Min(Len(f), Len(after) + PageMax)
      events == {f[i] : i \in (Len(after) + 1) .. to}
  IN IF ~Known(after, f) THEN [kind |-> "restart", to |-> t]
     ELSE [kind |-> "page", to |-> t, after |-> after, reaches |-> SubSeq(f, 1, to),
           events |-> Sorted(IF Wrong = "OwnToo" THEN events
                             ELSE {o \in events : ~Own(t, o)})]
Feed(t) == IF Wrong = "NoBranch" THEN feed[1] \o feed[2] ELSE feed[1]
Answer(t) ==
  /\ talk[t].kind = "ask"
  /\ talk' = [talk EXCEPT ![t] = Page(t, @.after, Feed(t))]
  /\ UNCHANGED <<feed, acked, feedBackup, till, tillBackup, stray, budget, placed, had>>

\* AN ACKNOWLEDGEMENT (feed.rs: ack).  A place of another history is not believed, and a late one
\* takes nothing back.  It decides nothing.
Noted(m) ==
  acked' = [acked EXCEPT ![m.from] =
    IF Prefix(m.place, Feed(m.from)) /\ Len(m.place) > @ THEN Len(m.place) ELSE @]
Acknowledged(t) ==
  /\ talk[t].kind = "ack"
  /\ Noted(talk[t])
  /\ talk' = [talk EXCEPT ![t] = Rest]
  /\ UNCHANGED <<feed, feedBackup, till, tillBackup, stray, budget, placed, had>>

-----------------------------------------------------------------------------
(* The till.                                                                                    *)

\* It asks after its place, whatever it was told or has acknowledged.
Ask(t) ==
  /\ talk[t].kind = "rest"
  /\ talk' = [talk EXCEPT ![t] = [kind |-> "ask", after |-> till[t].place]]
  /\ UNCHANGED <<feed, acked, feedBackup, till, tillBackup, stray, budget, placed, had>>

\* DELIVER (terminal/inbox.rs): one commit moves the stock, notes what is applied, and moves the
\* place.  An answer to another question is left.  What is known by its id is skipped.
Fresh(row, events) ==
  IF Wrong = "NoApplied" THEN events ELSE SelectSeq(events, LAMBDA o : o \notin row.applied)
Delivered(row, m) ==
  IF m.kind = "restart" THEN [row EXCEPT !.place = <<>>]
  ELSE IF m.after # row.place /\ Wrong # "AnyAnswer" THEN row
  ELSE LET fresh == Fresh(row, m.events) IN
       [row EXCEPT !.place = m.reaches,
                   !.applied = @ \cup Range(fresh),
                   !.pages = IF fresh = <<>> THEN @ ELSE Append(@, fresh),
                   !.stock = @ - Len(fresh)]
Took(t, m) ==
  /\ till' = [till EXCEPT ![t] = Delivered(@, m)]
  /\ had' = [had EXCEPT ![t] = @ \cup Delivered(till[t], m).applied]
Deliver(t) ==
  /\ talk[t].kind \in {"page", "restart"}
  /\ Took(t, talk[t])
  /\ talk' = [talk EXCEPT ![t] = Rest]
  /\ UNCHANGED <<feed, acked, feedBackup, tillBackup, stray, budget, placed>>

\* ACK: formed from committed rows, after the commit.
Ack(t) ==
  /\ talk[t].kind = "rest" /\ till[t].place # <<>>
  /\ talk' = [talk EXCEPT ![t] = [kind |-> "ack", from |-> t, place |-> till[t].place]]
  /\ UNCHANGED <<feed, acked, feedBackup, till, tillBackup, stray, budget, placed, had>>

\* Two mistakes that need steps of their own.
AckEarly(t) ==
  /\ Wrong = "AckBeforeApply" /\ talk[t].kind = "page"
  /\ Noted([from |-> t, place |-> talk[t].reaches])
  /\ UNCHANGED <<feed, feedBackup, till, tillBackup, talk, stray, budget, placed, had>>
PlaceEarly(t) ==
  /\ Wrong = "PlaceBeforeApply" /\ talk[t].kind = "page" /\ talk[t].after = till[t].place
  /\ till' = [till EXCEPT ![t].place = talk[t].reaches]
  /\ talk' = [talk EXCEPT ![t].after = talk[t].reaches]
  /\ UNCHANGED <<feed, acked, feedBackup, tillBackup, stray, budget, placed, had>>

-----------------------------------------------------------------------------
(* What goes wrong.                                                                             *)

\* A message is lost, or comes late or twice; the till waits no longer, or its program ends.
Interrupt(t) ==
  /\ budget.strays > 0 /\ talk[t].kind # "rest"
  /\ budget' = [budget EXCEPT !.strays = @ - 1]
  /\ talk' = [talk EXCEPT ![t] = Rest]
  /\ stray' = IF talk[t].kind \in {"page", "restart", "ack"} THEN stray \cup {talk[t]} ELSE stray
  /\ UNCHANGED <<feed, acked, feedBackup, till, tillBackup, placed, had>>
\* A stray message arrives: the rows alone must see to it that it does no harm.
Arrives ==
  /\ \E m \in stray :
       /\ stray' = stray \ {m}
       /\ IF m.kind = "ack" THEN Noted(m) /\ UNCHANGED <<till, had>>
          ELSE Took(m.to, m) /\ UNCHANGED acked
  /\ UNCHANGED <<feed, feedBackup, tillBackup, talk, budget, placed>>

Backup(t) ==
  /\ budget.tills > 0 /\ tillBackup[t] = <<>>
  /\ tillBackup' = [tillBackup EXCEPT ![t] = <<till[t]>>]
  /\ UNCHANGED <<feed, acked, feedBackup, till, talk, stray, budget, placed, had>>
\* A restored till asks from its own place.  Answers to the program that ended reach nobody.
RestoreTill(t) ==
  /\ budget.tills > 0 /\ tillBackup[t] # <<>> /\ budget' = [budget EXCEPT !.tills = @ - 1]
  /\ till' = [till EXCEPT ![t] = tillBackup[t][1]]
  /\ tillBackup' = [tillBackup EXCEPT ![t] = <<>>]
  /\ talk' = [talk EXCEPT ![t] = Rest]
  /\ UNCHANGED <<feed, acked, feedBackup, stray, placed, had>>
Archive ==
  /\ budget.clouds > 0 /\ feedBackup = <<>>
  /\ feedBackup' = <<[feed |-> feed, acked |-> acked]>>
  /\ UNCHANGED <<feed, acked, till, tillBackup, talk, stray, budget, placed, had>>
\* Lost orders may be told again, in another order: old numbers go to new events.
RestoreCloud ==
  /\ budget.clouds > 0 /\ feedBackup # <<>> /\ budget' = [budget EXCEPT !.clouds = @ - 1]
  /\ feed' = feedBackup[1].feed /\ acked' = feedBackup[1].acked /\ feedBackup' = <<>>
  /\ UNCHANGED <<till, tillBackup, talk, stray, placed, had>>

Next ==
  \/ \E o \in Orders : Place(o)
  \/ \E t \in TillSet : Ask(t)
  \/ \E t \in TillSet : Answer(t)
  \/ \E t \in TillSet : Deliver(t)
  \/ \E t \in TillSet : Ack(t)
  \/ \E t \in TillSet : Acknowledged(t)
  \/ \E t \in TillSet : AckEarly(t)
  \/ \E t \in TillSet : PlaceEarly(t)
  \/ \E t \in TillSet : Interrupt(t)
  \/ Arrives
  \/ \E t \in TillSet : Backup(t)
  \/ \E t \in TillSet : RestoreTill(t)
  \/ Archive
  \/ RestoreCloud

Spec == Init /\ [][Next]_vars

\* A till that runs asks again and again, and is answered.  It need not acknowledge, and no order
\* has to be told again to a cloud that lost it.
FairSpec ==
  Spec /\ \A t \in TillSet :
    SF_vars(Ask(t)) /\ WF_vars(Answer(t)) /\ WF_vars(Deliver(t)) /\ WF_vars(Acknowledged(t))

-----------------------------------------------------------------------------
(* Laws.                                                                                        *)

Moves(t) == Flat(till[t].pages)
Times(t, o) == Cardinality({i \in DOMAIN Moves(t) : Moves(t)[i] = o})

InboxOnce ==
  \A t \in TillSet :
    \* Each event at most once, and the rows that say so are the movements that were made.
    /\ \A o \in Orders : Times(t, o) <= 1
    /\ till[t].applied = Range(Moves(t))
    \* Its own movements are its own already.
    /\ \A o \in Range(Moves(t)) : ~Own(t, o)
    \* What lies before the place is applied: nothing is passed over.
    /\ \A o \in Range(till[t].place) : Own(t, o) \/ o \in till[t].applied
    \* An acknowledgement comes after the commit.
    /\ \A i \in 1 .. Min(acked[t], Len(Feed(t))) : Own(t, Feed(t)[i]) \/ Feed(t)[i] \in had[t]
    \* Within what was fetched, in the order of their times.
    /\ \A i \in DOMAIN till[t].pages : \A j \in 2 .. Len(till[t].pages[i]) :
         Created(till[t].pages[i][j - 1]) < Created(till[t].pages[i][j])

StockIsSum      == \A t \in TillSet : till[t].stock = 0 - Len(Moves(t))
NoPhantom       == \A t \in TillSet : Range(Moves(t)) \subseteq placed
BranchIsolation == \A t \in TillSet : \A o \in Range(Moves(t)) : Branch(o) = 1

\* Liveness: whatever is in the feed is applied by each till of the branch in the end.
QueueDrains ==
  <>[](\A t \in TillSet : \A o \in Range(feed[1]) : Own(t, o) \/ o \in till[t].applied)

-----------------------------------------------------------------------------
(* The refinement mapping: events are facts, tills are where they count; who made them is the   *)
(* cloud, and what it believes is what a till has acknowledged.                                 *)

Acked(t) == {Feed(t)[i] : i \in 1 .. Min(acked[t], Len(Feed(t)))}
C == INSTANCE Contract WITH
  Facts  <- Orders,
  Places <- TillSet,
  Reach  <- {x \in Orders \X TillSet : Branch(x[1]) = 1 /\ ~Own(x[2], x[1])},
  made   <- placed,
  owed   <- Range(feed[1]),
  effect <- [t \in TillSet |-> [o \in Orders |-> Times(t, o)]],
  lost   <- [t \in TillSet |-> {o \in had[t] : Times(t, o) = 0}],
  told   <- [t \in TillSet |-> {o \in Acked(t) : ~Own(t, o)}],
  truth  <- {},
  copy   <- [t \in TillSet |-> <<0, "nowhere">>]
Refines == C!Spec

-----------------------------------------------------------------------------
(* Sanity: each is reached.                                                                     *)

SomeApplied  == \E t \in TillSet : till[t].applied # {}
SomeAcked    == \E t \in TillSet : acked[t] > 1
SomeRestart  == \E t \in TillSet : talk[t].kind = "restart"
SomeStray    == \E m \in stray : m.kind = "page" /\ m.after # till[m.to].place
SomeSkipped  == \E t \in TillSet : \E o \in Orders :
                  Own(t, o) /\ o \in Range(till[t].place) /\ o \notin till[t].applied
SomeSorted   == \E t \in TillSet : \E i \in DOMAIN till[t].pages :
                  Len(till[t].pages[i]) > 1 /\ till[t].pages[i][1] > till[t].pages[i][2]
SomeLost     == \E t \in TillSet : \E o \in had[t] : Times(t, o) = 0
SomeOther    == \E t \in TillSet : ~Prefix(till[t].place, feed[1])
SomeForeign  == feed[2] # <<>>
==============================================================================
